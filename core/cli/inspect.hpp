// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "core/base/files.hpp"

namespace espalier {

// What a path holds, by its kind: a run directory, a checkpoint folder, a safetensors file, a plan, packed tokens, a
// plugin or a recipe's lock. `token_type` is for raw .bin files. Error when it is none of these.
nlohmann::json inspect(const fs::path& path, const std::string& token_type);

}  // namespace espalier
