// SPDX-License-Identifier: Apache-2.0
#include "core/report/score_maps.hpp"

#include <algorithm>
#include <set>

#include <ATen/core/Tensor.h>

#include "core/base/error.hpp"
#include "core/importance/score_file.hpp"
#include "core/prune/plan_json.hpp"

namespace espalier {
namespace {

using nlohmann::json;

constexpr std::int64_t kColumns = 256;

json binned(const std::vector<double>& values, std::int64_t bin) {
  json row = json::array();
  for (std::size_t first = 0; first < values.size(); first += static_cast<std::size_t>(bin)) {
    const std::size_t end = std::min(values.size(), first + static_cast<std::size_t>(bin));
    double sum = 0.0;
    for (std::size_t i = first; i < end; ++i) sum += values[i];
    row.push_back(sum / static_cast<double>(end - first));
  }
  return row;
}

std::vector<double> numbers(const at::Tensor& scores) {
  const at::Tensor row = scores.to(at::kDouble).contiguous().view(-1);
  return {row.const_data_ptr<double>(), row.const_data_ptr<double>() + row.numel()};
}

std::vector<double> marks(const Indices& kept, std::size_t units) {
  std::vector<double> row(units, 0.0);
  for (const std::int64_t unit : kept) {
    if (unit >= 0 && static_cast<std::size_t>(unit) < units) row[static_cast<std::size_t>(unit)] = 1.0;
  }
  return row;
}

json map_of(const RunRecord& run, const ScoreFile& file, const AxisSelection* selection) {
  std::int64_t widest = 1;
  for (const at::Tensor& layer : file.scores.per_layer) widest = std::max(widest, layer.numel());
  const std::int64_t bin = (widest + kColumns - 1) / kColumns;
  json layers = json::array(), kept = json::array();
  for (std::size_t l = 0; l < file.scores.per_layer.size(); ++l) {
    const std::vector<double> row = numbers(file.scores.per_layer[l]);
    layers.push_back(binned(row, bin));
    if (selection == nullptr || l >= selection->kept.kept.size()) continue;
    kept.push_back(binned(marks(selection->kept.kept[l], row.size()), bin));
  }
  const auto metric = file.metadata.find("metric");
  return {{"run", run.ref.name},   {"arm", run.ref.arm},
          {"axis", file.axis},     {"metric", metric == file.metadata.end() ? json(nullptr) : json(metric->second)},
          {"layers", layers},      {"kept", kept},
          {"shared", file.shared}, {"bin", bin}};
}

void add_maps(const RunRecord& run, json& maps) {
  const Plan plan = plan_from_json(run.plan, (run.ref.folder / "plan.json").string());
  std::set<std::string> shown;
  for (const AxisSelection& selection : plan.selections) {
    const fs::path path = run.ref.folder / "scores" / (selection.info.name + ".safetensors");
    if (!fs::exists(path) || !shown.insert(selection.info.name).second) continue;
    maps.push_back(map_of(run, load_scores(path), &selection));
  }
}

}  // namespace

json score_maps_of(const std::vector<Arm>& arms) {
  json maps = json::array();
  for (const Arm& arm : arms) {
    if (!arm.runs.empty() && arm.runs.front().plan.is_object()) add_maps(arm.runs.front(), maps);
  }
  return maps;
}

}  // namespace espalier
