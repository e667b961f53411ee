// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "espalier/sdk/options.hpp"

namespace espalier {

nlohmann::json to_json(const Value& value);

}  // namespace espalier
