// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/prune/plan.hpp"
#include "core/recipe/recipe.hpp"

namespace espalier {

// One [[prune]] block, ready to be planned.
struct PruneStep {
  const PruningAxis* axis = nullptr;
  const PruneBlock* block = nullptr;
  std::string axis_name;           // as the recipe says it
  const Scores* scores = nullptr;  // over the unpruned teacher; nullptr: count only
};

// Applies the steps in order: each sees the spec that the ones before it left. A `keep` that the axis cannot give is
// reported at its place in the recipe, with the nearest legal ones; then the step is left out. What an axis returns is
// checked (counts, order, range, the spec against the selection); a broken promise is an Error that names the axis.
Plan make_plan(const ModelSpec& teacher, const std::vector<PruneStep>& steps, Diagnostics& diagnostics);

}  // namespace espalier
