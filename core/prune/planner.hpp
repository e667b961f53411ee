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
  bool folds = true;               // false: what is folded does not matter, only what is kept
};

// The units of an axis that a plan so far leaves, in the teacher's numbering, for each layer of its student (or once).
std::vector<Indices> surviving_units(const Plan& plan, const AxisInfo& info);
// A selection from the numbering of the plan's student to the teacher's; `units` are the surviving ones.
Selection in_teacher_numbers(const Plan& plan, const AxisInfo& info, const std::vector<Indices>& units,
                             const Selection& selection);

// Applies the steps in order: each sees the spec that the ones before it left. A `keep` that the axis cannot give is
// reported at its place in the recipe, with the nearest legal ones; then the step is left out. What an axis returns is
// checked (counts, order, range, the spec against the selection); a broken promise is an Error that names the axis.
Plan make_plan(const ModelSpec& teacher, const std::vector<PruneStep>& steps, Diagnostics& diagnostics);

// The spec that one step leaves when it keeps `keep` units, which must be legal: what make_plan does to its student
// without scores, but not checked tensor by tensor, for searches over many sizes.
ModelSpec shrunk(const ModelSpec& spec, const PruningAxis& axis, const std::string& axis_name, std::int64_t keep);

bool legal_keep(const PruningAxis& axis, const ModelSpec& spec, std::int64_t keep);

// "a multiple of 8 up to 48 (nearest: 24, 32)": what an axis can give where `wish` was asked for.
std::string legal_keeps(const PruningAxis& axis, const ModelSpec& spec, std::int64_t wish);

// The target of a [[prune]] block in units; a `ratio` is rounded to the nearest legal size. nullopt: reported.
std::optional<std::int64_t> resolve_keep(const PruneStep& step, const ModelSpec& spec, Diagnostics& diagnostics);

}  // namespace espalier
