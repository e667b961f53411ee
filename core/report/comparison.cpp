// SPDX-License-Identifier: Apache-2.0
#include "core/report/comparison.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/report/arm_json.hpp"
#include "core/report/arms.hpp"
#include "core/report/curves.hpp"
#include "core/report/environment.hpp"
#include "core/report/metric_lab.hpp"
#include "core/report/recovery.hpp"
#include "core/report/score_maps.hpp"
#include "core/report/sweep_files.hpp"
#include "core/report/verdict.hpp"

namespace espalier {
namespace {

using nlohmann::json;

std::vector<std::string> names_of(const std::vector<Arm>& arms) {
  std::vector<std::string> names;
  for (const Arm& arm : arms) names.push_back(arm.name);
  return names;
}

// The baseline that was asked for; a sweep's own may have failed, then the first arm takes its place.
std::size_t baseline_of(const std::vector<Arm>& arms, const CompareOptions& options) {
  const std::vector<std::string> names = names_of(arms);
  const auto found = std::find(names.begin(), names.end(), options.baseline);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  const bool of_sweep = options.sweep.is_object() && options.sweep.value("baseline", "") == options.baseline;
  if (!options.baseline.empty() && !of_sweep)
    reject("--baseline: no such arm; got '{}'; expected {}{}", options.baseline, any_of(names),
           did_you_mean(options.baseline, names));
  return 0;
}

void check_all(const std::vector<Arm>& arms) {
  const RunRecord* first = nullptr;
  for (const Arm& arm : arms) {
    for (const RunRecord& run : arm.runs) {
      if (!run.after) continue;
      if (first != nullptr) check_same_windows(*first, run);
      if (first == nullptr) first = &run;
    }
  }
}

// Arms that differ in how they train alone begin as one model: there is nothing to judge.
bool is_one_model(const std::vector<Contrast>& contrasts) {
  return std::all_of(contrasts.begin(), contrasts.end(),
                     [](const Contrast& contrast) { return contrast.is_one_model(); });
}

json verdicts_of(const std::vector<Arm>& arms, std::size_t baseline, const CompareOptions& options) {
  json verdicts = json::array();
  for (const Moment moment : {Moment::after, Moment::before}) {
    std::vector<std::vector<Contrast>> pairs;
    for (std::size_t i = 0; i < arms.size(); ++i) {
      for (std::size_t j = 0; j < arms.size(); ++j) {
        if (i == j || (options.all_pairs ? j < i : i != baseline)) continue;
        std::vector<Contrast> contrasts = contrasts_of(arms[i], arms[j], moment);
        if (contrasts.empty() || (moment == Moment::before && is_one_model(contrasts))) continue;
        pairs.push_back(std::move(contrasts));
      }
    }
    for (const std::vector<Contrast>& contrasts : pairs) {
      for (const Contrast& contrast : contrasts) verdicts.push_back(verdict_of(contrast, options.level, pairs.size()));
    }
  }
  return verdicts;
}

json differences_of(const std::vector<Arm>& arms, const CompareOptions& options) {
  const json of_sweep = options.sweep.is_object() ? options.sweep.value("differences", json()) : json();
  if (of_sweep.is_array() && !of_sweep.empty()) return of_sweep;
  std::vector<std::pair<std::string, const RunRecipe*>> recipes;
  for (const Arm& arm : arms) {
    if (arm.recipe) recipes.emplace_back(arm.name, &*arm.recipe);
  }
  return recipe_differences(recipes);
}

json failed_of(const std::vector<RunRecord>& runs) {
  json failed = json::array();
  for (const RunRecord& run : runs) {
    if (run.ref.state == "failed") failed.push_back({{"run", run.ref.name}, {"error", run.ref.error}});
  }
  return failed;
}

// Of the first run that was measured on data.
json protocol_of(const std::vector<Arm>& arms) {
  for (const Arm& arm : arms) {
    for (const RunRecord& run : arm.runs) {
      if (run.eval.contains("nll") && run.eval.contains("protocol")) return run.eval["protocol"];
    }
  }
  return json::object();
}

json metric_lab_of(const std::vector<Arm>& arms) {
  std::vector<LabRun> runs;
  for (const Arm& arm : arms) {
    for (const RunRecord& run : arm.runs) {
      if (run.plan.is_object()) runs.push_back({run.ref.name, run.ref.folder});
    }
  }
  return metric_lab(runs);
}

}  // namespace

CompareOptions options_of_sweep(const fs::path& folder) {
  CompareOptions options;
  options.sweep = read_sweep(folder);
  options.title = options.sweep.value("name", "");
  options.baseline = options.sweep.value("baseline", "");
  const fs::path speed = SweepFiles{folder}.speed();
  if (fs::exists(speed)) options.speed = read_json(speed);
  return options;
}

json compare(const std::vector<RunRef>& refs, const CompareOptions& options) {
  std::vector<RunRef> named = refs;
  name_arms(named);
  std::vector<RunRecord> runs;
  for (const RunRef& ref : named) runs.push_back(read_run(ref));
  const std::vector<Arm> arms = arms_of(runs);
  check_all(arms);
  const std::size_t baseline = baseline_of(arms, options);
  const json protocol = protocol_of(arms);
  json result = {{"schema", 1},
                 {"title", options.title.empty() ? join(names_of(arms), ", ") : options.title},
                 {"baseline", arms.empty() ? json(nullptr) : json(arms[baseline].name)},
                 {"level", options.level},
                 {"verdicts", verdicts_of(arms, baseline, options)},
                 {"arms", json::array()},
                 {"teachers", teachers_to_json(arms, options.speed)},
                 {"runs", json::array()},
                 {"curves", curves_of(arms)},
                 {"scores", score_maps_of(arms)},
                 {"metric_lab", metric_lab_of(arms)},
                 {"differences", differences_of(arms, options)},
                 {"match", options.sweep.is_object() ? options.sweep.value("match", json()) : json()},
                 {"failed", failed_of(runs)},
                 {"protocol", protocol},
                 {"environment", environment_of(protocol, options.sweep)}};
  for (const Arm& arm : arms) result["arms"].push_back(arm_to_json(arm, options.level, options.speed));
  for (const RunRecord& run : runs) result["runs"].push_back(run_to_json(run));
  result["sentence"] = recovery_text(result["arms"]);
  return result;
}

}  // namespace espalier
