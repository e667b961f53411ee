// SPDX-License-Identifier: Apache-2.0
#include "core/report/lab_files.hpp"

#include <algorithm>
#include <charconv>

#include "core/base/error.hpp"
#include "core/importance/score_file.hpp"
#include "core/model/layer_axis.hpp"
#include "core/prune/plan_json.hpp"

namespace espalier {

namespace {

using Metadata = std::map<std::string, std::string>;

std::string text_of(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

std::optional<std::int64_t> number_of(const Metadata& metadata, const std::string& key, const fs::path& path) {
  const std::string text = text_of(metadata, key);
  if (text.empty()) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    fail("{}: '{}' of the metadata is damaged; got '{}'; expected a number from 0", path.string(), key, text);
  }
  return value;
}

LabScores scores_from(const ScoreFile& file, const fs::path& path) {
  LabScores scores;
  scores.metric = text_of(file.metadata, "metric");
  scores.options = text_of(file.metadata, "options");
  scores.samples = number_of(file.metadata, "samples", path);
  scores.seq_length = number_of(file.metadata, "seq_length", path).value_or(0);
  scores.seed = text_of(file.metadata, "seed");
  scores.calibration = text_of(file.metadata, "calibration_digest");
  scores.run = number_of(file.metadata, "run", path).value_or(1);
  for (const at::Tensor& layer : file.scores.per_layer) {
    const float* values = layer.const_data_ptr<float>();
    scores.layers.emplace_back(values, values + layer.numel());
  }
  return scores;
}

bool same_origin(const LabScores& a, const LabScores& b) {
  return a.metric == b.metric && a.options == b.options && a.samples == b.samples && a.seq_length == b.seq_length &&
         a.seed == b.seed && a.calibration == b.calibration && a.run == b.run;
}

std::vector<fs::path> score_files(const fs::path& folder) {
  std::vector<fs::path> paths;
  if (!fs::is_directory(folder / "scores")) return paths;
  for (const auto& entry : fs::directory_iterator(folder / "scores")) {
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Where the scores of a run went: axis → number in its LabAxis::scores.
struct Read {
  std::string teacher;
  std::map<std::string, std::vector<std::size_t>> of_axis;
  std::vector<std::string> in_rounds;  // axes whose choice follows from more than the first scores
};

LabAxis& axis_at(std::map<std::pair<std::string, std::string>, LabAxis>& axes, const ScoreFile& file,
                 const std::string& teacher) {
  LabAxis& axis = axes[{file.axis, teacher}];
  axis.axis = file.axis, axis.teacher = teacher, axis.shared = file.shared;
  return axis;
}

void add_run(std::vector<std::string>& runs, const std::string& name) {
  if (std::find(runs.begin(), runs.end(), name) == runs.end()) runs.push_back(name);
}

Read read_scores_of(const LabRun& run, std::map<std::pair<std::string, std::string>, LabAxis>& axes) {
  Read read;
  for (const fs::path& path : score_files(run.folder)) {
    const ScoreFile file = load_scores(path);
    if (file.metadata.count("round") > 0) {
      read.in_rounds.push_back(file.axis);
      continue;
    }
    read.teacher = text_of(file.metadata, "teacher_digest");
    LabAxis& axis = axis_at(axes, file, read.teacher);
    add_run(axis.runs, run.name);
    LabScores scores = scores_from(file, path);
    auto found = std::find_if(axis.scores.begin(), axis.scores.end(),
                              [&](const LabScores& other) { return same_origin(scores, other); });
    if (found == axis.scores.end()) found = axis.scores.insert(found, std::move(scores));
    add_run(found->runs, run.name);
    read.of_axis[file.axis].push_back(static_cast<std::size_t>(found - axis.scores.begin()));
  }
  return read;
}

// The layers of the plan are those of the scores; units that an earlier block cut make them differ.
bool fits(const Selection& kept, const LabScores& scores) {
  if (kept.kept.size() != scores.layers.size()) return false;
  for (std::size_t i = 0; i < kept.kept.size(); ++i) {
    if (kept.kept[i].size() > scores.layers[i].size() && !scores.layers[i].empty()) return false;
  }
  return true;
}

void add_target(LabAxis& axis, const std::string& run, const AxisSelection& selection, const Read& read) {
  const std::vector<std::size_t>& numbers = read.of_axis.at(axis.axis);
  const LabScores& scores = axis.scores[numbers.front()];
  axis.layers = is_layers(selection.info);
  if (scores.run > 1 || !fits(selection.kept, scores)) return;
  LabTarget target;
  for (std::size_t i = 0; i < scores.layers.size(); ++i) {
    target.of.push_back(static_cast<std::int64_t>(scores.layers[i].size()));
    target.keep.push_back(std::min(target.of.back(), static_cast<std::int64_t>(selection.kept.kept[i].size())));
  }
  auto found = std::find_if(axis.targets.begin(), axis.targets.end(),
                            [&](const LabTarget& other) { return other.keep == target.keep && other.of == target.of; });
  if (found == axis.targets.end()) found = axis.targets.insert(found, target);
  add_run(found->runs, run);
  const bool rounds = std::find(read.in_rounds.begin(), read.in_rounds.end(), axis.axis) != read.in_rounds.end();
  if (numbers.size() == 1 && !rounds) found->kept.emplace(numbers.front(), selection.kept.kept);
}

}  // namespace

std::vector<LabAxis> read_lab_files(const std::vector<LabRun>& runs) {
  std::map<std::pair<std::string, std::string>, LabAxis> axes;
  for (const LabRun& run : runs) {
    const Read read = read_scores_of(run, axes);
    const fs::path path = run.folder / "plan.json";
    if (read.of_axis.empty() || !fs::exists(path)) continue;
    for (const AxisSelection& selection : plan_from_json(read_json(path), path.string()).selections) {
      if (read.of_axis.count(selection.info.name) == 0) continue;
      add_target(axes.at({selection.info.name, read.teacher}), run.name, selection, read);
    }
  }
  std::vector<LabAxis> result;
  for (auto& [key, axis] : axes) result.push_back(std::move(axis));
  return result;
}

}  // namespace espalier
