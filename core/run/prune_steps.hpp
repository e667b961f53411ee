// SPDX-License-Identifier: Apache-2.0
// The [[prune]] blocks of a run as the planner wants them.
#pragma once

#include <memory>
#include <vector>

#include "core/prune/planner.hpp"
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
  void load_scores(const Run& run);
  void keep(const std::vector<std::int64_t>& sizes);  // one for each block
  Plan plan(const ModelSpec& teacher) const;          // RecipeError when a size is not legal

 private:
  std::vector<std::unique_ptr<PruningAxis>> axes_;
  std::vector<PruneBlock> blocks_;
  std::vector<Scores> scores_;
  std::vector<PruneStep> list_;
};

}  // namespace espalier
