// SPDX-License-Identifier: Apache-2.0
// The [[prune]] blocks of a run as the planner wants them.
#pragma once

#include <memory>
#include <vector>

#include "core/prune/rounds.hpp"
#include "core/run/run.hpp"

namespace espalier {

// Owns the axes and the blocks that the steps point at. Where [search] chooses, a block has no size until keep() gives
// it one.
class PruneSteps {
 public:
  explicit PruneSteps(const Run& run);
  PruneSteps(const PruneSteps&) = delete;
  PruneSteps& operator=(const PruneSteps&) = delete;

  const std::vector<PruneStep>& list() const { return list_; }
  void load_scores(const Run& run, std::int64_t rounds);  // of the first so many rounds
  void keep(const std::vector<std::int64_t>& sizes);      // one for each block
  // The plan after a round, counted from 1 (0: after the last); counts only, unless scores are loaded. RecipeError when
  // a size is not legal.
  Plan plan(const ModelSpec& teacher, std::int64_t round = 0) const;
  std::vector<Indices> keeps(const ModelSpec& teacher) const;  // of every block after each round

 private:
  std::vector<std::unique_ptr<PruningAxis>> axes_;
  std::vector<PruneBlock> blocks_;
  std::int64_t rounds_;
  std::vector<std::vector<Scores>> scores_;  // by round and block
  std::vector<PruneStep> list_;
};

}  // namespace espalier
