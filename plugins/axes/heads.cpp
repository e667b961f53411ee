// SPDX-License-Identifier: Apache-2.0
#include "heads.hpp"

#include <ATen/core/Tensor.h>
#include <algorithm>
#include <numeric>

namespace espalier::plugins {
namespace {

// One fold for each pair of a kept and a pruned head in each group; `fold` says what becomes of a pair.
void add_residual(const LayerSpec& layer, const std::vector<double>& scores, const std::vector<std::int64_t>& kept,
                  Fold fold, std::vector<Fold>& folds) {
  const std::int64_t n = layer.heads_per_group, k = static_cast<std::int64_t>(kept.size()) / layer.kv_groups;
  if (2 * k < n) {
    throw RecipeError(concat("residual of axis 'heads' pairs each pruned head with a kept one of its group; got ", k,
                             " of ", n, " heads kept in layer ", fold.layer, "; expected at least ", (n + 1) / 2));
  }
  for (std::int64_t group = 0; group < layer.kv_groups; ++group) {
    const std::int64_t first = group * n;
    const std::vector<double> own(scores.begin() + first, scores.begin() + first + n);
    std::vector<std::int64_t> order = by_rank(own);
    std::stable_partition(order.begin(), order.end(), [&](std::int64_t head) {
      return std::binary_search(kept.begin(), kept.end(), first + head);
    });
    for (std::int64_t i = 2 * k - n + 1; i <= k; ++i) {  // counted from 1
      fold.unit = first + order[static_cast<std::size_t>(i - 1)];
      fold.from = first + order[static_cast<std::size_t>(2 * k - i)];
      folds.push_back(fold);
    }
  }
}

}  // namespace

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
  std::int64_t multiple = granularity();
  for (const LayerSpec& layer : spec.layers) {
    if (units(layer) > 0) multiple = std::lcm(multiple, chunk_of(layer));
  }
  return multiple;
}

std::int64_t HeadsAxis::chunk_of(const LayerSpec& layer) const { return std::lcm(granularity(), layer.kv_groups); }

std::vector<Fold> HeadsAxis::folds(const ModelSpec& spec, const Scores& scores, const Selection& selection) const {
  std::vector<Fold> folds;
  if (options_.residual == "none") return folds;
  check_count(name(), selection.kept.size(), spec.layers.size());
  check_count(name(), scores.per_layer.size(), spec.layers.size());
  const bool printed = options_.residual == "kept_minus_pruned";
  for (const int dimension : {0, 1}) {
    if (options_.residual_tensors == (dimension == 0 ? "o_proj" : "q_proj")) continue;
    Fold fold;
    fold.product = {Dim::kv_groups, Dim::heads_per_group, Dim::head_dim};
    fold.dimension = dimension;
    fold.own = printed ? 2.0 : 0.0;
    fold.other = printed ? -1.0 : 1.0;
    for (std::size_t l = 0; l < spec.layers.size(); ++l) {
      fold.layer = static_cast<std::int64_t>(l);
      const std::int64_t heads = units(spec.layers[l]);
      if (heads == 0) continue;
      const std::string place = place_of(name(), fold.layer);
      check_kept(selection.kept[l], heads, place);
      const std::vector<double> numbers = read_scores(scores.per_layer[l], heads, place);
      add_residual(spec.layers[l], numbers, selection.kept[l], fold, folds);
    }
  }
  return folds;
}

// Layers with other numbers of groups: keeping the extent of the smallest one may be more than a step.
void HeadsAxis::check_size(const LayerSpec& layer, std::int64_t keep) const {
  if (keep % layer.kv_groups == 0) return;
  throw RecipeError(concat("keep of axis 'heads' does not divide over the KV groups of every layer; got ", keep,
                           "; expected a multiple of ", layer.kv_groups));
}

std::vector<std::int64_t> HeadsAxis::ranked(const LayerSpec& layer, const std::vector<double>& scores) const {
  const std::int64_t width = layer.heads_per_group;
  std::vector<std::int64_t> order(static_cast<std::size_t>(layer.heads()));
  for (std::int64_t group = 0; group < layer.kv_groups; ++group) {
    const std::int64_t first = group * width;
    const std::vector<double> own(scores.begin() + first, scores.begin() + first + width);
    const std::vector<std::int64_t> best = by_rank(own);
    for (std::int64_t rank = 0; rank < width; ++rank)
      order[static_cast<std::size_t>(rank * layer.kv_groups + group)] = first + best[static_cast<std::size_t>(rank)];
  }
  return order;
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
