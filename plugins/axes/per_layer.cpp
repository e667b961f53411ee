// SPDX-License-Identifier: Apache-2.0
#include "per_layer.hpp"

#include <algorithm>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {

void PerLayerOptions::validate(OptionSource& source) const {
  if (ranking != "global" || unequal) return;
  source.problem("ranking", "ranking \"global\" leaves layers of different sizes", "unequal = false",
                 "unequal = true beside it, if the student is for this program alone: transformers, vLLM and llama.cpp "
                 "cannot load it");
}

std::int64_t PerLayerAxis::extent(const ModelSpec& spec) const {
  std::int64_t smallest = 0, sum = 0, layers = 0;
  for (const LayerSpec& layer : spec.layers) {
    const std::int64_t here = units(layer);
    if (here == 0) continue;
    smallest = smallest == 0 ? here : std::min(smallest, here);
    sum += here;
    ++layers;
  }
  return per_layer_.ranking == "global" && layers > 0 ? sum / layers : smallest;
}

std::vector<std::int64_t> PerLayerAxis::ranked(const LayerSpec&, const std::vector<double>& scores) const {
  return by_rank(scores);
}

std::int64_t PerLayerAxis::chunk_of(const LayerSpec&) const { return granularity(); }

void PerLayerAxis::check_size(const LayerSpec&, std::int64_t) const {}

// Every layer's scores are the sum over the layers.
PerLayerAxis::Numbers PerLayerAxis::summed(const ModelSpec& spec, Numbers numbers) const {
  std::vector<double> sum;
  std::int64_t chunk = 0;
  for (std::size_t l = 0; l < numbers.size(); ++l) {
    if (numbers[l].empty()) continue;
    const std::int64_t here = chunk_of(spec.layers[l]);
    if (sum.empty()) sum.resize(numbers[l].size()), chunk = here;
    if (sum.size() != numbers[l].size() || chunk != here) {
      throw RecipeError(concat("ranking \"sum\" of axis '", name(), "' makes one choice for all layers; got ",
                               sum.size(), " units in multiples of ", chunk, ", and ", numbers[l].size(),
                               " in multiples of ", here, " in layer ", l, "; expected layers of one size"));
    }
    for (std::size_t unit = 0; unit < sum.size(); ++unit) sum[unit] += numbers[l][unit];
  }
  for (std::vector<double>& here : numbers) {
    if (!here.empty()) here = sum;
  }
  return numbers;
}

// How many units each layer keeps when all compete: chunks of them, the best ones first. Every layer keeps one chunk.
std::vector<std::int64_t> PerLayerAxis::counts_across_layers(const ModelSpec& spec, const Numbers& numbers,
                                                             std::int64_t keep) const {
  struct Chunk {
    double sum = 0.0;
    std::size_t layer = 0;
  };
  std::vector<Chunk> chunks;
  std::vector<std::int64_t> counts(spec.layers.size(), 0);
  std::int64_t left = 0, chunk = 0;  // units to give away
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const LayerSpec& layer = spec.layers[l];
    if (units(layer) == 0) continue;
    if (chunk != 0 && chunk_of(layer) != chunk) {
      throw RecipeError(concat("ranking \"global\" of axis '", name(),
                               "' compares the same number of units everywhere; got ", chunk, " and ", chunk_of(layer),
                               " in layer ", l, "; expected layers with equal KV groups"));
    }
    chunk = chunk_of(layer);
    const std::vector<std::int64_t> order = ranked(layer, numbers[l]);
    for (std::size_t first = 0; first + static_cast<std::size_t>(chunk) <= order.size();
         first += static_cast<std::size_t>(chunk)) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < chunk; ++i)
        sum += numbers[l][static_cast<std::size_t>(order[first + static_cast<std::size_t>(i)])];
      if (first > 0) chunks.push_back({sum, l});
    }
    counts[l] = chunk;
    left += keep - chunk;
  }
  // Stable: of equal sums the lower layer's, and inside a layer the one of the better rank.
  std::stable_sort(chunks.begin(), chunks.end(), [](const Chunk& a, const Chunk& b) { return a.sum > b.sum; });
  for (const Chunk& one : chunks) {
    if (left < chunk) break;
    counts[one.layer] += chunk;
    left -= chunk;
  }
  if (left == 0) return counts;
  throw RecipeError(concat("ranking \"global\" of axis '", name(), "' cannot keep a mean of ", keep, "; got ", left,
                           " units too few in multiples of ", chunk, "; expected a smaller keep"));
}

Selection PerLayerAxis::select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const {
  check_keep(name(), keep, extent(spec), step(spec));
  check_count(name(), scores.per_layer.size(), spec.layers.size());
  Numbers numbers;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const std::string place = place_of(name(), static_cast<std::int64_t>(l));
    numbers.push_back(read_scores(scores.per_layer[l], units(spec.layers[l]), place));
  }
  if (per_layer_.ranking == "sum") numbers = summed(spec, std::move(numbers));
  std::vector<std::int64_t> counts(spec.layers.size(), keep);
  const bool global = per_layer_.ranking == "global", whole = keep == extent(spec);
  if (global && !whole) counts = counts_across_layers(spec, numbers, keep);
  Selection selection;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    const LayerSpec& layer = spec.layers[l];
    selection.kept.emplace_back();
    if (units(layer) == 0) continue;
    std::vector<std::int64_t>& kept = selection.kept.back();
    kept = ranked(layer, numbers[l]);
    if (!global || !whole) kept.resize(static_cast<std::size_t>(counts[l]));
    check_size(layer, static_cast<std::int64_t>(kept.size()));
    std::sort(kept.begin(), kept.end());
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
