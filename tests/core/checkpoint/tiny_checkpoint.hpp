// SPDX-License-Identifier: Apache-2.0
// A llama of a few hundred weights, and hands to damage it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace espalier {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

inline ModelSpec tiny_spec(bool tied = false) {
  ModelSpec spec;
  spec.family = "llama";
  spec.hidden = 8;
  spec.vocab = 16;
  spec.max_positions = 32;
  spec.tied = tied;
  spec.layers.assign(2, LayerSpec{.kv_groups = 1, .heads_per_group = 2, .head_dim = 4, .ffn = 12});
  return spec;
}

inline nlohmann::json tiny_config(const ModelSpec& spec) {
  return write_config(spec, nlohmann::json::object(), {}, "float32");
}

// The same for the same seed; every value is exact in all dtypes of weights.
inline at::Tensor tiny_weight(const Parameter& parameter, std::int64_t seed) {
  const auto salt = seed + static_cast<std::int64_t>(parameter.name.size()) + 7 * parameter.layer;
  return at::remainder(at::arange(parameter.elements(), at::kFloat) * 3 + salt, 97).sub(48).reshape(parameter.shape);
}

inline void write_tiny(const std::filesystem::path& folder, const ModelSpec& spec = tiny_spec(),
                       at::ScalarType dtype = at::kFloat, std::int64_t shard_bytes = 1 << 30, std::int64_t seed = 0) {
  CheckpointWriter writer(folder, spec, tiny_config(spec), dtype, shard_bytes);
  for (const Parameter& parameter : writer.parameters()) writer.write(tiny_weight(parameter, seed));
  writer.commit();
}

// Rewrites a weight file after `change`.
inline void edit_tensors(const std::filesystem::path& path, const std::function<void(NamedTensors&)>& change) {
  NamedTensors tensors;
  {
    const SafetensorsFile file(path);
    for (const TensorInfo& info : file.tensors()) tensors.emplace_back(info.name, file.tensor(info).clone());
  }
  change(tensors);
  save_tensors(path, tensors, {{"format", "pt"}});
}

inline at::Tensor& named(NamedTensors& tensors, const std::string& name) {
  for (auto& [key, tensor] : tensors) {
    if (key == name) return tensor;
  }
  throw std::out_of_range(name);
}

inline void edit_json(const std::filesystem::path& path, const std::function<void(nlohmann::json&)>& change) {
  nlohmann::json json = read_json(path);
  change(json);
  write_json(path, json);
}

}  // namespace espalier
