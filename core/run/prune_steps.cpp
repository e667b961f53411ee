// SPDX-License-Identifier: Apache-2.0
#include "core/run/prune_steps.hpp"

#include "core/run/scores.hpp"

namespace espalier {

PruneSteps::PruneSteps(const Run& run) : blocks_(run.recipe().prune), rounds_(run.recipe().score.rounds) {
  for (const PruneBlock& block : blocks_) {
    axes_.push_back(run.registry().axis(*block.axis, run.host()));
    list_.push_back({axes_.back().get(), &block, block.axis->name, nullptr});
  }
}

void PruneSteps::load_scores(const Run& run, std::int64_t rounds) {
  for (std::int64_t round = 1; round <= rounds; ++round) {
    scores_.emplace_back();
    for (std::size_t i = 0; i < list_.size(); ++i) scores_.back().push_back(load_block_scores(run, i, round));
  }
}

void PruneSteps::keep(const std::vector<std::int64_t>& sizes) {
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].keep = sizes.at(i);
    blocks_[i].ratio.reset();
  }
}

Plan PruneSteps::plan(const ModelSpec& teacher, std::int64_t round) const {
  const auto scores = [&](std::int64_t of_round, std::size_t block) -> const Scores* {
    return scores_.empty() ? nullptr : &scores_.at(static_cast<std::size_t>(of_round) - 1).at(block);
  };
  Diagnostics diagnostics;
  Plan plan = plan_rounds(teacher, list_, rounds_, round > 0 ? round : rounds_, scores, diagnostics);
  diagnostics.throw_if_any();
  return plan;
}

std::vector<Indices> PruneSteps::keeps(const ModelSpec& teacher) const {
  Diagnostics diagnostics;
  std::vector<Indices> keeps = round_keeps(teacher, list_, rounds_, diagnostics);
  diagnostics.throw_if_any();
  return keeps;
}

}  // namespace espalier
