// SPDX-License-Identifier: Apache-2.0
#include "core/run/prune_steps.hpp"

#include "core/run/scores.hpp"

namespace espalier {

PruneSteps::PruneSteps(const Run& run) : blocks_(run.recipe().prune) {
  for (const PruneBlock& block : blocks_) {
    axes_.push_back(run.registry().axis(*block.axis, run.host()));
    list_.push_back({axes_.back().get(), &block, block.axis->name, nullptr});
  }
}

void PruneSteps::load_scores(const Run& run) {
  for (std::size_t i = 0; i < list_.size(); ++i) scores_.push_back(load_block_scores(run, i));
  for (std::size_t i = 0; i < list_.size(); ++i) list_[i].scores = &scores_[i];
}

void PruneSteps::keep(const std::vector<std::int64_t>& sizes) {
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].keep = sizes.at(i);
    blocks_[i].ratio.reset();
  }
}

Plan PruneSteps::plan(const ModelSpec& teacher) const {
  Diagnostics diagnostics;
  Plan plan = make_plan(teacher, list_, diagnostics);
  diagnostics.throw_if_any();
  return plan;
}

}  // namespace espalier
