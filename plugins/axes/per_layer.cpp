// SPDX-License-Identifier: Apache-2.0
#include "per_layer.hpp"

#include <algorithm>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {

std::int64_t PerLayerAxis::extent(const ModelSpec& spec) const {
  std::int64_t smallest = 0;
  for (const LayerSpec& layer : spec.layers) {
    const std::int64_t here = units(layer);
    if (here > 0) smallest = smallest == 0 ? here : std::min(smallest, here);
  }
  return smallest;
}

std::vector<std::int64_t> PerLayerAxis::choose(const LayerSpec&, const std::vector<double>& scores,
                                               std::int64_t keep) const {
  return top_k(scores, keep);
}

Selection PerLayerAxis::select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const {
  check_keep(name(), keep, extent(spec), step(spec));
  check_count(name(), scores.per_layer.size(), spec.layers.size());
  Selection selection;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const LayerSpec& layer = spec.layers[l];
    const std::int64_t here = units(layer);
    const std::vector<double> numbers =
        read_scores(scores.per_layer[l], here, place_of(name(), static_cast<std::int64_t>(l)));
    selection.kept.push_back(here > 0 ? choose(layer, numbers, keep) : std::vector<std::int64_t>());
  }
  return selection;
}

ModelSpec PerLayerAxis::shrink(const ModelSpec& spec, const Selection& selection) const {
  check_count(name(), selection.kept.size(), spec.layers.size());
  ModelSpec smaller = spec;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const std::string place = place_of(name(), static_cast<std::int64_t>(l));
    check_kept(selection.kept[l], units(spec.layers[l]), place);
    if (units(spec.layers[l]) > 0) smaller.layers[l] = cut(spec.layers[l], selection.kept[l], place);
  }
  return smaller;
}

}  // namespace espalier::plugins
