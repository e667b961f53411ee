// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "espalier/sdk/spec.hpp"

namespace espalier {

inline constexpr std::int64_t kMaxSize = (std::int64_t{1} << 31) - 1;  // of any number of a spec

// Refuses a spec that cannot be a model: sizes, divisibility, totals that overflow, and what its family cannot say.
// `source` names the file (or the plan) in the Error.
void validate(const ModelSpec& spec, const std::string& source);

}  // namespace espalier
