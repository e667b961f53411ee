// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.hpp"
#include "core/prune/plan_json.hpp"
#include "core/prune/planner.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"

namespace espalier {

namespace {

// The axes of the recipe, made once, and the steps that point at them.
struct Steps {
  std::vector<std::unique_ptr<PruningAxis>> axes;
  std::vector<PruneStep> list;
};

Steps steps_of(const Run& run) {
  Steps steps;
  for (const PruneBlock& block : run.recipe().prune) {
    steps.axes.push_back(run.registry().axis(*block.axis, run.host()));
    steps.list.push_back({steps.axes.back().get(), &block, block.axis->name, nullptr});
  }
  return steps;
}

Plan planned(const Run& run, const Steps& steps) {
  Diagnostics diagnostics;
  Plan plan = make_plan(run.teacher_spec(), steps.list, diagnostics);
  diagnostics.throw_if_any();
  return plan;
}

}  // namespace

Plan plan_from_config(const Run& run) { return planned(run, steps_of(run)); }

std::string plan_inputs(Run& run) {
  Digest digest;
  digest.add(run.output_of("score"));
  for (const PruneBlock& block : run.recipe().prune) {
    digest.add(run.component_digest(*block.axis));
    digest.add(block.keep ? "keep " + std::to_string(*block.keep) : "ratio " + std::to_string(*block.ratio));
  }
  return digest.hex();
}

Plan plan_from_scores(const Run& run) {
  Steps steps = steps_of(run);
  std::vector<Scores> scores;
  for (std::size_t i = 0; i < steps.list.size(); ++i) scores.push_back(load_block_scores(run, i));
  for (std::size_t i = 0; i < steps.list.size(); ++i) steps.list[i].scores = &scores[i];
  return planned(run, steps);
}

std::string run_plan(Run& run) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(run.pruned_model().dtype()));
  write_json(run.files().plan(), plan_to_json(plan_from_scores(run), element, run.recipe().data.seq_length));
  return digest_of_file(run.files().plan());
}

}  // namespace espalier
