// SPDX-License-Identifier: Apache-2.0
#include "core/report/lab_pairs.hpp"

namespace espalier {

namespace {

using Units = std::vector<std::int64_t>;

template <class Correlation>
std::vector<std::optional<double>> by_layer(const LabScores& a, const LabScores& b, Correlation correlation) {
  std::vector<std::optional<double>> result(a.layers.size());
  if (a.layers.size() != b.layers.size() || a.run != b.run) return result;
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (a.layers[i].size() == b.layers[i].size()) result[i] = correlation(a.layers[i], b.layers[i]);
  }
  return result;
}

std::optional<double> mean_of(const std::vector<std::optional<double>>& values) {
  MeanOf mean;
  for (const std::optional<double>& value : values) mean.add(value);
  return mean.value();
}

bool chooses(const LabTarget& target, std::size_t layer) {
  return target.keep[layer] > 0 && target.keep[layer] < target.of[layer];
}

Units kept_in(const LabAxis& axis, const LabTarget& target, std::size_t number, std::size_t layer) {
  const auto known = target.kept.find(number);
  if (known != target.kept.end()) return known->second[layer];
  return top_units(axis.scores[number].layers[layer], target.keep[layer]);
}

bool fits_target(const LabScores& scores, const LabTarget& target) {
  if (scores.run > 1 || scores.layers.size() != target.of.size()) return false;
  for (std::size_t i = 0; i < target.of.size(); ++i) {
    if (static_cast<std::int64_t>(scores.layers[i].size()) != target.of[i]) return false;
  }
  return true;
}

// The mean of a function of layers, over those in which there is something to choose.
template <class OfLayer>
std::optional<Overlap> mean_overlap(const LabTarget& target, OfLayer of_layer) {
  Overlap sum;
  double layers = 0;
  for (std::size_t i = 0; i < target.keep.size(); ++i) {
    if (!chooses(target, i)) continue;
    const Overlap layer = of_layer(i);
    sum.share += layer.share, sum.jaccard += layer.jaccard, ++layers;
  }
  if (layers == 0) return std::nullopt;
  return Overlap{sum.share / layers, sum.jaccard / layers};
}

}  // namespace

std::vector<std::optional<double>> layer_spearman(const LabScores& a, const LabScores& b) {
  return by_layer(a, b, [](const auto& x, const auto& y) { return spearman(x, y); });
}

std::optional<double> mean_spearman(const LabScores& a, const LabScores& b) { return mean_of(layer_spearman(a, b)); }

std::optional<double> mean_kendall(const LabScores& a, const LabScores& b) {
  return mean_of(by_layer(a, b, [](const auto& x, const auto& y) { return kendall_tau_b(x, y); }));
}

std::optional<Overlap> kept_overlap(const LabAxis& axis, const LabTarget& target, std::size_t a, std::size_t b) {
  if (!fits_target(axis.scores[a], target) || !fits_target(axis.scores[b], target)) return std::nullopt;
  return mean_overlap(target, [&](std::size_t layer) {
    return overlap_of(kept_in(axis, target, a, layer), kept_in(axis, target, b, layer));
  });
}

std::optional<Overlap> chance_at(const LabTarget& target) {
  return mean_overlap(target, [&](std::size_t layer) { return chance_overlap(target.of[layer], target.keep[layer]); });
}

}  // namespace espalier
