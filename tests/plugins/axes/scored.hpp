// SPDX-License-Identifier: Apache-2.0
// Layers of one size, scores for them, and what is kept of them.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/spec.hpp"

namespace espalier {

using Lists = std::vector<std::vector<std::int64_t>>;

inline ModelSpec spec_of(std::size_t layers) {
  ModelSpec spec;
  spec.hidden = 6, spec.vocab = 11;
  LayerSpec layer;
  layer.kv_groups = 2, layer.heads_per_group = 3, layer.head_dim = 4, layer.ffn = 5;
  spec.layers.assign(layers, layer);
  return spec;
}

// One list for each layer, or one for all of them.
inline Scores scores_of(const std::vector<std::vector<float>>& lists) {
  Scores scores;
  for (const auto& list : lists) scores.per_layer.push_back(at::tensor(list, at::kFloat));
  return scores;
}

}  // namespace espalier
