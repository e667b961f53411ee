// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace espalier {

// The first byte that does not belong to well-formed UTF-8 (no overlong forms, no surrogates), or npos.
std::size_t first_invalid_utf8(std::string_view text);

}  // namespace espalier
