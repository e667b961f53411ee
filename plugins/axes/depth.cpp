// SPDX-License-Identifier: Apache-2.0
#include "depth.hpp"

#include <algorithm>
#include <numeric>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {
namespace {

bool has(const LayerSpec& layer, Part part) {
  return part == Part::whole || (part == Part::attention ? layer.attention : layer.mlp);
}

std::int64_t count_with(const ModelSpec& spec, Part part) {
  return std::count_if(spec.layers.begin(), spec.layers.end(),
                       [&](const LayerSpec& layer) { return has(layer, part); });
}

// Of each run of `length` units the sum of their scores. Summed afresh for each run, so that equal runs have equal
// sums.
std::vector<double> sums_of_runs(const std::vector<double>& scores, std::int64_t length) {
  std::vector<double> sums;
  for (auto first = scores.begin(); scores.end() - first >= length; ++first) {
    sums.push_back(std::accumulate(first, first + length, 0.0));
    if (first == scores.end()) break;  // runs of nothing
  }
  return sums;
}

// All but the run with the smallest score; of equal runs the last one goes: ties keep the lower index.
std::vector<std::int64_t> without_weakest_run(const std::vector<double>& runs, std::int64_t units,
                                              std::int64_t removed) {
  std::int64_t weakest = 0;
  for (std::int64_t first = 0; first < static_cast<std::int64_t>(runs.size()); ++first) {
    if (runs[static_cast<std::size_t>(first)] <= runs[static_cast<std::size_t>(weakest)]) weakest = first;
  }
  std::vector<std::int64_t> kept;
  for (std::int64_t unit = 0; unit < units; ++unit) {
    if (unit < weakest || unit >= weakest + removed) kept.push_back(unit);
  }
  return kept;
}

}  // namespace

std::int64_t DepthAxis::extent(const ModelSpec& spec) const {
  const std::int64_t units = count_with(spec, part());
  if (units > 0) return units;
  throw RecipeError(concat("axis '", name(), "' has nothing to cut; got a model in which no layer has that block"));
}

Selection DepthAxis::select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const {
  const std::int64_t units = extent(spec), removed = units - keep;
  check_keep(name(), keep, units, step(spec));
  check_count(name(), scores.per_layer.size(), 1);
  const at::Tensor& given = scores.per_layer.front();
  if (!one_run()) return {{top_k(read_scores(given, units, place_of(name(), -1)), keep)}};
  const std::int64_t runs = units - removed + 1;
  const bool of_runs = given.defined() && given.dim() == 1 && given.numel() == runs;
  const std::vector<double> numbers = read_scores(given, of_runs ? runs : units, place_of(name(), -1));
  return {{without_weakest_run(of_runs ? numbers : sums_of_runs(numbers, removed), units, removed)}};
}

ModelSpec DepthAxis::shrink(const ModelSpec& spec, const Selection& selection) const {
  check_count(name(), selection.kept.size(), 1);
  const std::vector<std::int64_t>& kept = selection.kept.front();
  check_kept(kept, extent(spec), place_of(name(), -1));
  ModelSpec smaller = spec;
  smaller.layers.clear();
  std::int64_t unit = 0;
  for (LayerSpec layer : spec.layers) {
    const bool goes = has(layer, part()) && !std::binary_search(kept.begin(), kept.end(), unit++);
    if (goes && part() == Part::whole) continue;
    if (goes) (part() == Part::attention ? layer.attention : layer.mlp) = false;
    smaller.layers.push_back(layer);
  }
  return smaller;
}

AxisInfo BlocksAxis::describe() const {
  const bool attention = part() == Part::attention;
  return {.name = name(),
          .unit = attention ? "attention block" : "MLP block",
          .dims = {Dim::layers},
          .shared = true,
          .part = part(),
          .taps = {},
          .hugging_face_name = "",
          .megatron_name = ""};
}

}  // namespace espalier::plugins
