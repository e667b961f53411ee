// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "espalier/sdk/spec.hpp"

namespace espalier {

// Refuses a spec that cannot be a model: sizes, divisibility, totals that overflow, and what its family cannot say.
// `source` names the file (or the plan) in the Error.
void validate(const ModelSpec& spec, const std::string& source);

}  // namespace espalier
