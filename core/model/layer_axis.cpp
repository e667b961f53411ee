// SPDX-License-Identifier: Apache-2.0
#include "core/model/layer_axis.hpp"

#include <algorithm>

namespace espalier {

bool is_layers(const AxisInfo& axis) { return axis.dims == std::vector<Dim>{Dim::layers}; }

bool has_part(const LayerSpec& layer, Part part) {
  return part == Part::whole || (part == Part::attention ? layer.attention : layer.mlp);
}

std::vector<std::int64_t> layers_with(const ModelSpec& spec, Part part) {
  std::vector<std::int64_t> layers;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (has_part(spec.layers[i], part)) layers.push_back(static_cast<std::int64_t>(i));
  }
  return layers;
}

void turn_off(LayerSpec& layer, Part part) {
  if (part != Part::mlp) layer.attention = false;
  if (part != Part::attention) layer.mlp = false;
}

bool is_of_part(Role role, Part part) {
  const bool attention = role >= Role::attn_norm && role <= Role::k_norm;
  const bool mlp = role >= Role::mlp_norm && role <= Role::down_bias;
  return part == Part::whole ? attention || mlp : part == Part::attention ? attention : mlp;
}

bool has_dims(const LayerSpec& layer, const std::vector<Dim>& dims) {
  return std::all_of(dims.begin(), dims.end(), [&](Dim dim) {
    if (dim == Dim::ffn) return layer.mlp;
    const bool of_attention = dim == Dim::kv_groups || dim == Dim::heads_per_group || dim == Dim::head_dim;
    return !of_attention || layer.attention;
  });
}

}  // namespace espalier
