// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/data/tokens.hpp"

namespace espalier::testing {

using Tokens = std::vector<std::int64_t>;

inline Tokens all_tokens(const TokenFile& file) {
  Tokens tokens(static_cast<std::size_t>(file.size()));
  file.read(0, file.size(), tokens.data());
  return tokens;
}

}  // namespace espalier::testing
