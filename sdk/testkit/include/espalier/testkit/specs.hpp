// SPDX-License-Identifier: Apache-2.0
// Specs of small models, one for each family, and the axes that every model has.
#pragma once

#include <string>
#include <vector>

#include "espalier/sdk/axis.hpp"

namespace espalier::testkit {

inline constexpr const char* kFamilies[] = {"llama", "mistral", "qwen2", "qwen3", "nemotron"};

// 3 layers, hidden 24, 2 KV groups of 3 heads, a head_dim that is not hidden / heads. Every part that a family may have
// is there.
inline ModelSpec small_spec(const std::string& family) {
  ModelSpec spec;
  spec.family = family;
  spec.hidden = 24;
  spec.vocab = 31;
  spec.max_positions = 64;
  LayerSpec layer;
  layer.kv_groups = 2;
  layer.heads_per_group = 3;
  layer.head_dim = family == "nemotron" ? 8 : 6;
  layer.ffn = 20;
  if (family == "mistral") layer.sliding_window = 5;
  spec.layers.assign(3, layer);
  spec.qkv_bias = family == "qwen2" || family == "llama";
  spec.o_bias = spec.mlp_bias = family == "llama";
  spec.qk_norm = spec.tied = family == "qwen3";
  if (family == "nemotron") {
    spec.norm = Norm::layernorm_1p;
    spec.activation = Activation::relu2;
    spec.gated = false;
    spec.rope.partial = 0.5;
  }
  return spec;
}

// Layers that differ, one of them without attention and one without an MLP.
inline ModelSpec uneven_spec() {
  ModelSpec spec = small_spec("llama");
  spec.layers.push_back(spec.layers[0]);
  spec.layers[0].ffn = 16;
  spec.layers[1].attention = false;
  spec.layers[2].mlp = false;
  spec.layers[3].kv_groups = 4;
  return spec;
}

// As the program's own axes describe themselves: widths, layers one by one and in one run, a part of each layer.
inline std::vector<AxisInfo> standard_axes() {
  const auto axis = [](const char* name, std::vector<Dim> dims, bool shared, std::vector<Tap> taps) {
    AxisInfo info;
    info.name = info.unit = name;
    info.dims = std::move(dims);
    info.shared = shared;
    info.taps = std::move(taps);
    return info;
  };
  AxisInfo run = axis("layers", {Dim::layers}, true, {});
  run.one_run = true;
  AxisInfo part = axis("attention_blocks", {Dim::layers}, true, {});
  part.part = Part::attention;
  return {axis("hidden", {Dim::hidden}, true, {Tap::norm_output}),
          axis("ffn", {Dim::ffn}, false, {Tap::fc2_input, Tap::pre_activation, Tap::up_output}),
          axis("heads", {Dim::kv_groups, Dim::heads_per_group}, false, {Tap::o_proj_input}),
          axis("kv_groups", {Dim::kv_groups}, false, {Tap::o_proj_input}),
          axis("layers", {Dim::layers}, true, {}),
          run,
          part};
}

inline bool removes_layers(const AxisInfo& axis) { return axis.dims == std::vector<Dim>{Dim::layers}; }

}  // namespace espalier::testkit
