// SPDX-License-Identifier: Apache-2.0
#include "heads.hpp"

#include <numeric>

namespace espalier::plugins {

AxisInfo HeadsAxis::describe() const {
  return {.name = "heads",
          .unit = "query head",
          .dims = {Dim::kv_groups, Dim::heads_per_group},
          .shared = false,
          .taps = {Tap::o_proj_input},
          .hugging_face_name = "num_attention_heads",
          .megatron_name = "num_attention_heads"};
}

std::int64_t HeadsAxis::step(const ModelSpec& spec) const {
  std::int64_t multiple = options_.granularity;
  for (const LayerSpec& layer : spec.layers) {
    if (units(layer) > 0) multiple = std::lcm(multiple, layer.kv_groups);
  }
  return multiple;
}

std::vector<std::int64_t> HeadsAxis::choose(const LayerSpec& layer, const std::vector<double>& scores,
                                            std::int64_t keep) const {
  // Layers with other numbers of groups: keeping the extent of the smallest one may be more than a step.
  if (keep % layer.kv_groups != 0) {
    throw RecipeError(concat("keep of axis 'heads' does not divide over the KV groups of every layer; got ", keep,
                             "; expected a multiple of ", layer.kv_groups));
  }
  const std::int64_t width = layer.heads_per_group;
  std::vector<std::int64_t> kept;
  for (std::int64_t first = 0; first < layer.heads(); first += width) {
    const std::vector<double> group(scores.begin() + first, scores.begin() + first + width);
    for (const std::int64_t head : top_k(group, keep / layer.kv_groups)) kept.push_back(first + head);
  }
  return kept;
}

LayerSpec HeadsAxis::cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept,
                         const std::string& place) const {
  const std::int64_t count = static_cast<std::int64_t>(kept.size()), per_group = count / layer.kv_groups;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t group = kept[static_cast<std::size_t>(i)] / layer.heads_per_group;
    if (count % layer.kv_groups == 0 && group == i / per_group) continue;
    throw Error(concat("selection of ", place, " is uneven; got head ", kept[static_cast<std::size_t>(i)],
                       " as number ", i, " of ", count, "; expected the same number of heads in each of ",
                       layer.kv_groups, " groups"));
  }
  LayerSpec smaller = layer;
  smaller.heads_per_group = per_group;
  return smaller;
}

}  // namespace espalier::plugins
