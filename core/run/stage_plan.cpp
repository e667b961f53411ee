// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "core/base/digest.hpp"
#include "core/prune/plan_json.hpp"
#include "core/prune/rounds.hpp"
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

// With scores from their files, or counts only.
Plan planned(const Run& run, std::int64_t last_round, bool scored) {
  const Steps steps = steps_of(run);
  std::map<std::pair<std::int64_t, std::size_t>, Scores> loaded;
  const auto scores = [&](std::int64_t round, std::size_t block) -> const Scores* {
    if (!scored) return nullptr;
    return &loaded.try_emplace({round, block}, load_block_scores(run, block, round)).first->second;
  };
  Diagnostics diagnostics;
  Plan plan = plan_rounds(run.teacher_spec(), steps.list, run.recipe().score.rounds, last_round, scores, diagnostics);
  diagnostics.throw_if_any();
  return plan;
}

}  // namespace

Plan plan_from_config(const Run& run) { return planned(run, run.recipe().score.rounds, false); }
Plan plan_from_scores(const Run& run) { return planned(run, run.recipe().score.rounds, true); }
Plan plan_after_round(const Run& run, std::int64_t round) { return planned(run, round, true); }

Indices keeps_of_round(const Run& run, std::int64_t round) {
  Diagnostics diagnostics;
  const std::vector<Indices> keeps =
      round_keeps(run.teacher_spec(), steps_of(run).list, run.recipe().score.rounds, diagnostics);
  diagnostics.throw_if_any();
  return keeps.at(static_cast<std::size_t>(round) - 1);
}

std::string plan_inputs(Run& run) {
  Digest digest;
  digest.add(run.output_of("score"));
  const std::int64_t rounds = run.recipe().score.rounds;
  if (rounds > 1) digest.add("rounds " + std::to_string(rounds));
  for (const PruneBlock& block : run.recipe().prune) {
    digest.add(run.component_digest(*block.axis));
    digest.add(block.keep ? "keep " + std::to_string(*block.keep) : "ratio " + std::to_string(*block.ratio));
  }
  return digest.hex();
}

std::string run_plan(Run& run) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(run.pruned_model().dtype()));
  write_json(run.files().plan(), plan_to_json(plan_from_scores(run), element, run.recipe().data.seq_length));
  return digest_of_file(run.files().plan());
}

}  // namespace espalier
