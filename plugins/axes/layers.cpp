// SPDX-License-Identifier: Apache-2.0
#include "layers.hpp"

#include <numeric>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {
namespace {

// All but the run of `removed` layers with the smallest sum; of equal runs the last one goes: ties keep the lower
// index.
std::vector<std::int64_t> without_weakest_run(const std::vector<double>& scores, std::int64_t removed) {
  const auto layers = static_cast<std::int64_t>(scores.size());
  std::int64_t best = 0;
  double smallest = 0.0;
  for (std::int64_t first = 0; first + removed <= layers; ++first) {
    // Summed afresh for each run, so that equal runs have equal sums.
    const double sum = std::accumulate(scores.begin() + first, scores.begin() + first + removed, 0.0);
    if (first == 0 || sum <= smallest) best = first, smallest = sum;
  }
  std::vector<std::int64_t> kept;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    if (layer < best || layer >= best + removed) kept.push_back(layer);
  }
  return kept;
}

}  // namespace

AxisInfo LayersAxis::describe() const {
  return {.name = "layers",
          .unit = "layer",
          .dims = {Dim::layers},
          .shared = true,
          .taps = {},
          .hugging_face_name = "num_hidden_layers",
          .megatron_name = "num_layers"};
}

std::int64_t LayersAxis::extent(const ModelSpec& spec) const { return static_cast<std::int64_t>(spec.layers.size()); }

std::int64_t LayersAxis::step(const ModelSpec&) const { return options_.granularity; }

Selection LayersAxis::select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const {
  check_keep("layers", keep, extent(spec), step(spec));
  check_count("layers", scores.per_layer.size(), 1);
  const std::vector<double> numbers = read_scores(scores.per_layer.front(), extent(spec), place_of("layers", -1));
  if (options_.contiguous) return {{without_weakest_run(numbers, extent(spec) - keep)}};
  return {{top_k(numbers, keep)}};
}

ModelSpec LayersAxis::shrink(const ModelSpec& spec, const Selection& selection) const {
  check_count("layers", selection.kept.size(), 1);
  check_kept(selection.kept.front(), extent(spec), place_of("layers", -1));
  ModelSpec smaller = spec;
  smaller.layers.clear();
  for (const std::int64_t layer : selection.kept.front()) {
    smaller.layers.push_back(spec.layers[static_cast<std::size_t>(layer)]);
  }
  return smaller;
}

}  // namespace espalier::plugins
