// SPDX-License-Identifier: Apache-2.0
#include "core/run/verify_run.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/model/counts.hpp"
#include "core/prune/plan_json.hpp"
#include "core/run/pipeline.hpp"
#include "core/run/stages.hpp"

namespace espalier {

namespace {

void check_counts(const Run& run, const Plan& plan, VerifyReport& report) {
  const nlohmann::json stored = read_json(run.files().plan());
  const auto claim = [&](const char* which, const ModelSpec& spec) {
    const std::int64_t counted = count(spec, 1, 1).parameters;
    const std::int64_t claimed = stored.at(which).value("parameters", std::int64_t{-1});
    if (counted != claimed)
      report.problems.push_back(fmt::format("plan.json: {} parameters do not follow from the spec; got {}; expected {}",
                                            which, claimed, counted));
  };
  claim("teacher", plan.teacher);
  claim("student", plan.student);
}

// The kept units once more from the saved scores, layer by layer of the student.
void check_selections(Run& run, const Plan& plan, VerifyReport& report) {
  const nlohmann::json stored = plan_to_json(plan, 1, 1), again = plan_to_json(plan_from_scores(run), 1, 1);
  for (const AxisSelection& selection : plan.selections) {
    const std::string& axis = selection.info.name;
    if (stored["selections"][axis] == again["selections"].value(axis, nlohmann::json())) continue;
    report.problems.push_back(
        fmt::format("plan.json: the kept units of axis '{}' do not follow from scores and recipe", axis));
  }
  if (stored["axes"] != again["axes"]) report.problems.push_back("plan.json: its axes are not those of the recipe");
}

// Every stage that has run: were its inputs what they are now, and is what it wrote still that?
void check_stages(Run& run, VerifyReport& report) {
  for (const Stage& stage : stages()) {
    if (!stage.wanted(run.recipe()) || !run.ledger().knows(stage.name)) continue;
    const auto output = run.ledger().finished(stage.name, stage.inputs(run));
    if (!output) {
      report.problems.push_back(fmt::format(
          "stage {}: its inputs have changed; expected recipe, files, plugins and --device as it was run with",
          stage.name));
      return;
    }
    run.set_output(stage.name, *output);
  }
}

}  // namespace

at::Tensor verification_tokens(Run& run) {
  const std::int64_t length = std::min<std::int64_t>(128, run.recipe().score.seq_length);
  const Windows windows(run.data(DataPart::calibration).front(), length);
  return windows.tokens(0, std::min<std::int64_t>(4, windows.size()));
}

nlohmann::json report_to_json(const VerifyReport& report) {
  return {{"passed", report.passed()},    {"problems", report.problems},
          {"tensors", report.tensors},    {"states", report.states},
          {"tokens", report.tokens},      {"largest_relative_difference", report.largest_difference},
          {"tolerance", kVerifyTolerance}};
}

VerifyReport verify_run(Run& run) {
  if (run.recipe().prune.empty())
    reject("{}: nothing to verify; got a run without [[prune]]", run.files().root.string());
  const Plan plan = run.plan();
  VerifyReport report;
  check_counts(run, plan, report);
  check_selections(run, plan, report);
  if (report.passed()) verify_tensors(run.pruned_model(), plan, run.student(), report);
  if (report.passed()) verify_states(run.pruned_model(), plan, run.student(), verification_tokens(run), report);
  check_stages(run, report);
  return report;
}

}  // namespace espalier
