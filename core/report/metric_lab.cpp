// SPDX-License-Identifier: Apache-2.0
#include "core/report/metric_lab.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "core/base/strings.hpp"
#include "core/report/lab_pairs.hpp"

namespace espalier {

namespace {

using nlohmann::json;

constexpr double kEnough = 0.95;  // share of kept units in common with the largest calibration

json to_json(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

json to_json(const std::optional<Overlap>& overlap) {
  return overlap ? json{{"share", overlap->share}, {"jaccard", overlap->jaccard}} : json(nullptr);
}

// A metric with its options, and the length of the runs of units that its scores are of.
struct Variant {
  std::string metric, options;
  std::int64_t run = 1;
  std::vector<std::size_t> files;  // numbers in LabAxis::scores
};

std::vector<Variant> variants_of(const LabAxis& axis) {
  std::vector<Variant> variants;
  for (std::size_t i = 0; i < axis.scores.size(); ++i) {
    const LabScores& scores = axis.scores[i];
    auto found = std::find_if(variants.begin(), variants.end(), [&](const Variant& variant) {
      return variant.metric == scores.metric && variant.options == scores.options && variant.run == scores.run;
    });
    if (found == variants.end()) found = variants.insert(found, {scores.metric, scores.options, scores.run, {}});
    found->files.push_back(i);
  }
  return variants;
}

json options_of(const Variant& variant) {
  const json parsed = json::parse(variant.options, nullptr, false);
  return parsed.is_discarded() ? json(variant.options) : parsed;
}

// What of `mine` an object of options has otherwise, as key=value.
void add_differences(const json& mine, const json& theirs, std::set<std::string>& parts) {
  if (theirs == mine) return;
  if (!mine.is_object() || !theirs.is_object()) {
    parts.insert(mine.is_string() ? mine.get<std::string>() : mine.dump());
    return;
  }
  for (const auto& [key, value] : mine.items()) {
    if (!theirs.contains(key) || theirs.at(key) != value)
      parts.insert(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
  }
}

// Of the options only those in which the metric's variants differ.
std::string label_of(const Variant& variant, const std::vector<Variant>& variants) {
  std::set<std::string> parts;
  for (const Variant& other : variants) {
    if (other.metric != variant.metric) continue;
    if (other.run != variant.run) parts.insert("run=" + std::to_string(variant.run));
    add_differences(options_of(variant), options_of(other), parts);
  }
  if (parts.empty()) return variant.metric;
  return variant.metric + " (" + join({parts.begin(), parts.end()}, ", ") + ")";
}

bool same_calibration(const LabScores& a, const LabScores& b) {
  if (a.seed != b.seed) return false;
  if (!a.samples || !b.samples) return true;
  return a.samples == b.samples && a.seq_length == b.seq_length && a.calibration == b.calibration;
}

std::int64_t samples_of(const LabScores& a, const LabScores& b) {
  return std::max(a.samples.value_or(0), b.samples.value_or(0));
}

using FilePair = std::pair<std::size_t, std::size_t>;

// The files of two variants at equal calibrations, of those with most samples.
std::vector<FilePair> equal_calibrations(const LabAxis& axis, const Variant& a, const Variant& b) {
  std::vector<FilePair> pairs;
  std::int64_t most = 0;
  for (const std::size_t i : a.files) {
    for (const std::size_t j : b.files) {
      if (!same_calibration(axis.scores[i], axis.scores[j])) continue;
      pairs.emplace_back(i, j);
      most = std::max(most, samples_of(axis.scores[i], axis.scores[j]));
    }
  }
  std::erase_if(pairs, [&](const FilePair& pair) {
    return samples_of(axis.scores[pair.first], axis.scores[pair.second]) != most;
  });
  return pairs;
}

struct MeanOverlap {
  MeanOf share, jaccard;
  void add(const std::optional<Overlap>& overlap) {
    if (overlap) share.add(overlap->share), jaccard.add(overlap->jaccard);
  }
  json to_json() const {
    if (!share.value()) return nullptr;
    return {{"share", share.to_json()}, {"jaccard", jaccard.to_json()}};
  }
};

json pair_json(const LabAxis& axis, const std::vector<FilePair>& files) {
  MeanOf rho, tau;
  std::vector<MeanOf> layers(axis.scores.front().layers.size());
  std::vector<MeanOverlap> overlaps(axis.targets.size());
  for (const auto& [i, j] : files) {
    const LabScores &a = axis.scores[i], &b = axis.scores[j];
    rho.add(mean_spearman(a, b));
    tau.add(mean_kendall(a, b));
    const std::vector<std::optional<double>> by_layer = layer_spearman(a, b);
    for (std::size_t layer = 0; layer < std::min(layers.size(), by_layer.size()); ++layer)
      layers[layer].add(by_layer[layer]);
    for (std::size_t t = 0; t < overlaps.size(); ++t) overlaps[t].add(kept_overlap(axis, axis.targets[t], i, j));
  }
  const std::int64_t samples = samples_of(axis.scores[files[0].first], axis.scores[files[0].second]);
  json result = {{"samples", samples > 0 ? json(samples) : json(nullptr)},
                 {"calibrations", files.size()},
                 {"spearman", rho.to_json()},
                 {"kendall", tau.to_json()},
                 {"layers", json::array()},
                 {"overlap", json::array()}};
  for (const MeanOf& layer : layers) result["layers"].push_back(layer.to_json());
  for (const MeanOverlap& overlap : overlaps) result["overlap"].push_back(overlap.to_json());
  return result;
}

json pairs_json(const LabAxis& axis, const std::vector<Variant>& variants) {
  json result = json::array();
  for (std::size_t a = 0; a < variants.size(); ++a) {
    for (std::size_t b = a + 1; b < variants.size(); ++b) {
      if (variants[a].run != variants[b].run) continue;
      const std::vector<FilePair> files = equal_calibrations(axis, variants[a], variants[b]);
      if (files.empty()) continue;
      json pair = pair_json(axis, files);
      pair["a"] = a, pair["b"] = b;
      result.push_back(std::move(pair));
    }
  }
  return result;
}

// Files of one metric that differ in samples and seed alone, by samples.
using Calibrations = std::map<std::int64_t, std::vector<std::size_t>>;

std::map<std::pair<std::int64_t, std::string>, Calibrations> calibrations_of(const LabAxis& axis,
                                                                             const Variant& variant) {
  std::map<std::pair<std::int64_t, std::string>, Calibrations> groups;
  for (const std::size_t i : variant.files) {
    const LabScores& scores = axis.scores[i];
    if (scores.samples) groups[{scores.seq_length, scores.calibration}][*scores.samples].push_back(i);
  }
  return groups;
}

// Each file with those of the largest calibration: of the same seed where there is one, else with every one.
std::vector<FilePair> with_largest(const LabAxis& axis, const std::vector<std::size_t>& files,
                                   const std::vector<std::size_t>& largest) {
  std::vector<FilePair> same, all;
  for (const std::size_t i : files) {
    for (const std::size_t j : largest) {
      all.emplace_back(i, j);
      if (axis.scores[i].seed == axis.scores[j].seed) same.emplace_back(i, j);
    }
  }
  return same.empty() ? all : same;
}

std::vector<FilePair> between(const std::vector<std::size_t>& files) {
  std::vector<FilePair> pairs;
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (std::size_t j = i + 1; j < files.size(); ++j) pairs.emplace_back(files[i], files[j]);
  }
  return pairs;
}

json agreement(const LabAxis& axis, const LabTarget* target, const std::vector<FilePair>& pairs) {
  MeanOf rho;
  MeanOverlap overlap;
  for (const auto& [i, j] : pairs) {
    rho.add(mean_spearman(axis.scores[i], axis.scores[j]));
    if (target != nullptr) overlap.add(kept_overlap(axis, *target, i, j));
  }
  return {{"spearman", rho.to_json()}, {"share", overlap.share.to_json()}, {"jaccard", overlap.jaccard.to_json()}};
}

json points_json(const LabAxis& axis, const LabTarget* target, const Calibrations& calibrations) {
  json points = json::array();
  const std::vector<std::size_t>& largest = calibrations.rbegin()->second;
  for (const auto& [samples, files] : calibrations) {
    json point = agreement(axis, target, with_largest(axis, files, largest));
    point["samples"] = samples;
    point["files"] = files.size();
    const std::vector<FilePair> seeds = between(files);
    point["between_seeds"] = nullptr;
    if (!seeds.empty()) {
      point["between_seeds"] = agreement(axis, target, seeds);
      point["between_seeds"]["pairs"] = seeds.size();
    }
    points.push_back(std::move(point));
  }
  return points;
}

json samples_needed(const json& points) {
  const json* before = nullptr;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {  // the largest compared with itself proves nothing
    const json& point = points[i];
    if (!point["share"].is_number()) continue;
    const double share = point["share"].get<double>(), samples = point["samples"].get<double>();
    if (share >= kEnough) {
      if (before == nullptr) return samples;
      const double share_before = (*before)["share"].get<double>(), low = (*before)["samples"].get<double>();
      const double part = (kEnough - share_before) / (share - share_before);
      return std::exp(std::log(low) + part * (std::log(samples) - std::log(low)));
    }
    before = &point;
  }
  return nullptr;
}

json stability_json(const LabAxis& axis, const std::vector<Variant>& variants) {
  json result = json::array();
  for (std::size_t v = 0; v < variants.size(); ++v) {
    for (const auto& [key, calibrations] : calibrations_of(axis, variants[v])) {
      if (calibrations.size() < 2 && calibrations.begin()->second.size() < 2) continue;
      for (std::size_t t = 0; t < std::max<std::size_t>(1, axis.targets.size()); ++t) {
        const LabTarget* target = axis.targets.empty() ? nullptr : &axis.targets[t];
        const json points = points_json(axis, target, calibrations);
        result.push_back({{"metric", v},
                          {"seq_length", key.first},
                          {"largest", calibrations.rbegin()->first},
                          {"target", target == nullptr ? json(nullptr) : json(t)},
                          {"samples_needed", samples_needed(points)},
                          {"points", points}});
      }
    }
  }
  return result;
}

json map_json(const LabAxis& axis, const LabScores& scores) {
  std::vector<std::optional<double>> means;
  for (const std::vector<double>& layer : scores.layers) {
    MeanOf mean;
    for (const double score : layer) {
      mean.add(score);
      if (axis.layers) means.push_back(score);
    }
    if (!axis.layers) means.push_back(mean.value());
  }
  std::vector<double> known;
  for (const std::optional<double>& mean : means) {
    if (mean) known.push_back(*mean);
  }
  const double low = known.empty() ? 0 : *std::min_element(known.begin(), known.end());
  const double range = known.empty() ? 0 : *std::max_element(known.begin(), known.end()) - low;
  json mean = json::array(), normalised = json::array();
  for (const std::optional<double>& value : means) {
    mean.push_back(to_json(value));
    normalised.push_back(value && range > 0 ? json((*value - low) / range) : json(nullptr));
  }
  return {
      {"samples", scores.samples ? json(*scores.samples) : json(nullptr)}, {"mean", mean}, {"normalised", normalised}};
}

// Of each metric the first file with most samples.
json maps_json(const LabAxis& axis, const std::vector<Variant>& variants) {
  json result = json::array();
  if (axis.shared && !axis.layers) return result;
  for (std::size_t v = 0; v < variants.size(); ++v) {
    const std::size_t best =
        *std::max_element(variants[v].files.begin(), variants[v].files.end(), [&](std::size_t i, std::size_t j) {
          return axis.scores[i].samples.value_or(0) < axis.scores[j].samples.value_or(0);
        });
    result.push_back(map_json(axis, axis.scores[best]));
    result.back()["metric"] = v;
  }
  return result;
}

json axis_json(const LabAxis& axis) {
  const std::vector<Variant> variants = variants_of(axis);
  json metrics = json::array(), targets = json::array();
  for (const Variant& variant : variants) {
    metrics.push_back(
        {{"label", label_of(variant, variants)}, {"metric", variant.metric}, {"options", options_of(variant)}});
  }
  for (const LabTarget& target : axis.targets) {
    targets.push_back(
        {{"keep", target.keep}, {"of", target.of}, {"runs", target.runs}, {"chance", to_json(chance_at(target))}});
  }
  return {{"axis", axis.axis},
          {"teacher", axis.teacher},
          {"runs", axis.runs},
          {"shared", axis.shared},
          {"layers", axis.layers},
          {"metrics", metrics},
          {"targets", targets},
          {"pairs", pairs_json(axis, variants)},
          {"stability", stability_json(axis, variants)},
          {"maps", maps_json(axis, variants)}};
}

}  // namespace

json metric_lab(const std::vector<LabRun>& runs) {
  json axes = json::array();
  for (const LabAxis& axis : read_lab_files(runs)) axes.push_back(axis_json(axis));
  if (axes.empty()) return nullptr;
  return {{"schema", 1}, {"threshold", kEnough}, {"axes", axes}};
}

}  // namespace espalier
