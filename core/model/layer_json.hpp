// SPDX-License-Identifier: Apache-2.0
// Layers of a spec as JSON: in plan.json, and in config.json where layers differ, for which Hugging Face has no words.
#pragma once

#include <nlohmann/json.hpp>

#include "core/model/config_reader.hpp"
#include "espalier/sdk/spec.hpp"

namespace espalier {

inline constexpr const char* kUnequalLayers = "espalier_layers";  // in config.json

nlohmann::json layer_to_json(const LayerSpec& layer);
// Missing keys are as in `usual`.
LayerSpec layer_from_json(const ConfigReader& json, const LayerSpec& usual);

// Layers that differ by more than their window go into config.json as a list of our own; else the key is erased.
void write_unequal_layers(const ModelSpec& spec, nlohmann::json& config);
void read_unequal_layers(const ConfigReader& config, ModelSpec& spec);

}  // namespace espalier
