// SPDX-License-Identifier: Apache-2.0
// Iterative importance (Minitron, arXiv 2407.14679, section 2.2): in round i of R, from width d_s to d_t, the student
// of the round before is scored at width d_s - (i-1)(d_s-d_t)/R and pruned to d_s - i(d_s-d_t)/R. The rounds are
// composed into one plan, so that a student is cut out of the teacher at once, whatever their number.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/prune/planner.hpp"

namespace espalier {

// What each step keeps after each round, [round][step]: the line above, rounded to the nearest size that the axis can
// give; after the last one what the recipe says. Where one axis's units come from another's (heads after kv_groups),
// the line is that of the share of what is there. Problems of the targets are reported as by make_plan.
std::vector<Indices> round_keeps(const ModelSpec& teacher, const std::vector<PruneStep>& steps, std::int64_t rounds,
                                 Diagnostics& diagnostics);

// Two cuts as one: `second` is a plan whose teacher is the student of `first`, over the same steps. The result has one
// selection for each step, in the first teacher's numbering. RecipeError when several axes fold units, as the order of
// their folds would be lost.
Plan compose(const Plan& first, const Plan& second);

// The scores of a step in a round, counted from 1: over the student of the round before. nullptr: count only.
using RoundScores = std::function<const Scores*(std::int64_t round, std::size_t step)>;

// The plan after `last` of `rounds` rounds; with one round, make_plan. Scores of the steps themselves are not looked
// at.
Plan plan_rounds(const ModelSpec& teacher, const std::vector<PruneStep>& steps, std::int64_t rounds, std::int64_t last,
                 const RoundScores& scores, Diagnostics& diagnostics);

}  // namespace espalier
