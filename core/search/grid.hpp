// SPDX-License-Identifier: Apache-2.0
// The grid of [search]: every combination of sizes, from the teacher's spec alone.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/prune/planner.hpp"

namespace espalier {

// One [[prune]] block: its sizes come from an entry of [search], or there is the one that the block gives.
struct GridAxis {
  PruneStep step;
  const SearchAxis* sizes = nullptr;
};

struct GridPoint {
  std::vector<std::int64_t> keep;  // of each axis, in the recipe's order
  ModelSpec student;
};

// Hands every point to `on_point`, the last axis changing fastest. Sizes that an axis cannot give are reported at their
// place in the recipe, each once, and left out. Returns the number of sizes left out without a word: multiples of
// another axis's size that the teacher does not reach.
//
// No scores and no weights: an axis that treats each layer on its own is asked about one layer of each kind, so the
// time does not grow with the units of all layers. Where layers differ, or an axis treats equal layers differently,
// what the scores choose may give other counts: whoever makes the plan counts again.
std::int64_t enumerate(const ModelSpec& teacher, const std::vector<GridAxis>& axes, Diagnostics& diagnostics,
                       const std::function<void(GridPoint)>& on_point);

// Model-Optimizer's choices (0.47, minitron.md section 9.2): of the n multiples of `step` up to `extent`, which is one
// of them, all but the smallest int((1 - max_removed) · n), ascending.
std::vector<std::int64_t> sizes_by_share(std::int64_t extent, std::int64_t step, double max_removed);

}  // namespace espalier
