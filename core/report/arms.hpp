// SPDX-License-Identifier: Apache-2.0
// Runs that differ in their seed (and teacher) alone are one arm.
#pragma once

#include <string>
#include <vector>

#include "core/report/recipes.hpp"
#include "core/report/runs.hpp"

namespace espalier {

struct Arm {
  std::string name;
  std::vector<RunRecord> runs;      // finished ones, by seed in the order given
  std::optional<RunRecipe> recipe;  // of the first
};

// Names `arm` of every run that has none: those with equal resolved recipes together, after what their names have in
// common. RecipeError when the same run comes twice.
void name_arms(std::vector<RunRef>& runs);

// "width-seed1", "width-seed2" → "width"; one name is itself.
std::string common_name(const std::vector<std::string>& names);

// The finished runs by arm, arms in the order of their first run.
std::vector<Arm> arms_of(const std::vector<RunRecord>& runs);

}  // namespace espalier
