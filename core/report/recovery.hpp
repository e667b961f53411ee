// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace espalier {

// How much of what pruning cost each arm's training gave back, from `arms` of comparison.json; the best first.
std::string recovery_text(const nlohmann::json& arms);

}  // namespace espalier
