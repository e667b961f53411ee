// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tiny_model.hpp"

#include <ATen/ATen.h>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/run/save_model.hpp"

namespace espalier::test {

ModelSpec tiny_spec(const std::string& family) {
  ModelSpec spec;
  spec.family = family;
  spec.hidden = 24;
  spec.vocab = 31;
  spec.max_positions = 64;
  LayerSpec layer;
  layer.kv_groups = 2;
  layer.heads_per_group = 3;
  layer.head_dim = 6;
  layer.ffn = 20;
  if (family == "mistral") layer.sliding_window = 5;
  spec.layers.assign(3, layer);
  spec.qkv_bias = family == "qwen2";
  spec.qk_norm = family == "qwen3";
  spec.tied = family == "qwen3";
  if (family == "llama") spec.qkv_bias = spec.o_bias = spec.mlp_bias = true;
  if (family == "nemotron") {
    spec.norm = Norm::layernorm_1p;
    spec.activation = Activation::relu2;
    spec.gated = false;
    spec.rope.partial = 0.5;
    for (LayerSpec& each : spec.layers) each.head_dim = 8;
  }
  return spec;
}

fs::path write_tiny(const fs::path& folder, const ModelSpec& spec, std::uint64_t seed, at::ScalarType dtype) {
  SaveRequest request;
  request.folder = folder;
  request.spec = spec;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) request.layer_of.push_back(static_cast<std::int64_t>(i));
  request.dtype = dtype;
  CheckpointWriter writer = open_writer(request);
  std::uint64_t stream = seed;
  for (const Parameter& parameter : writer.parameters()) {
    at::Tensor tensor = at::empty(parameter.shape, at::kFloat);
    float* data = tensor.data_ptr<float>();
    ++stream;
    for (std::int64_t i = 0; i < tensor.numel(); ++i) {
      data[i] = static_cast<float>(0.4 * normal(mix(seed, stream), static_cast<std::uint64_t>(i)));
    }
    writer.write(tensor);
  }
  writer.commit();
  return folder;
}

}  // namespace espalier::test
