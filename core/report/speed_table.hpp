// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace espalier {

// speed.json (core/eval/speed.hpp) as a table, each number with its ratio to the first model's, and the protocol in a
// line.
std::string speed_text(const nlohmann::json& speed);

}  // namespace espalier
