// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.hpp"
#include "core/prune/plan_json.hpp"
#include "core/run/prune_steps.hpp"
#include "core/run/search.hpp"
#include "core/run/stages.hpp"

namespace espalier {

Plan plan_from_config(const Run& run) {
  PruneSteps steps(run);
  if (run.recipe().search) steps.keep(candidates_from_config(run).list.front().keep);
  return steps.plan(run.teacher_spec());
}

std::string plan_inputs(Run& run) {
  Digest digest;
  digest.add(run.output_of("score")).add(run.output_of("search"));
  digest.add(fmt::format("{} {}", run.pruned_model().digest(), run.recipe().data.seq_length));  // of its counts
  const std::int64_t rounds = run.recipe().score.rounds;
  if (rounds > 1) digest.add("rounds " + std::to_string(rounds));
  for (const PruneBlock& block : run.recipe().prune) {
    digest.add(run.component_digest(*block.axis)).add(target_text(block));
  }
  return digest.hex();
}

std::string target_text(const PruneBlock& block) {
  if (block.keep) return "keep " + std::to_string(*block.keep);
  return block.ratio ? "ratio " + std::to_string(*block.ratio) : "searched";
}

Plan plan_from_scores(const Run& run) {
  PruneSteps steps(run);
  steps.load_scores(run, run.recipe().score.rounds);
  if (run.recipe().search) steps.keep(searched_sizes(run));
  return steps.plan(run.teacher_spec());
}

Plan plan_after_round(const Run& run, std::int64_t round) {
  PruneSteps steps(run);
  steps.load_scores(run, round);
  return steps.plan(run.teacher_spec(), round);
}

Indices keeps_of_round(const Run& run, std::int64_t round) {
  return PruneSteps(run).keeps(run.teacher_spec()).at(static_cast<std::size_t>(round) - 1);
}

std::string run_plan(Run& run) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(run.pruned_model().dtype()));
  write_json(run.files().plan(), plan_to_json(plan_from_scores(run), element, run.recipe().data.seq_length));
  return plan_written(run);
}

std::string plan_written(Run& run) { return digest_of_file(run.files().plan()); }

}  // namespace espalier
