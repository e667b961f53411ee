// SPDX-License-Identifier: Apache-2.0
// Rotary embedding in config.json: `rope_theta` and `rope_scaling` (transformers 4), `rope_parameters` (transformers
// 5).
#pragma once

#include <nlohmann/json.hpp>

#include "core/model/config_reader.hpp"
#include "espalier/sdk/spec.hpp"

namespace espalier {

// Reads all spellings; those that are there must agree. `partial_keys` are the names of the rotated share at top level,
// `partial` what a missing one means. `max_positions` stands in for a missing original_max_position_embeddings.
Rope read_rope(const ConfigReader& config, const std::vector<std::string>& partial_keys, double partial,
               std::int64_t max_positions);

// Writes both spellings. `with_partial`: also `partial_rotary_factor`, which only some families know.
void write_rope(const Rope& rope, bool with_partial, nlohmann::json& config);

}  // namespace espalier
