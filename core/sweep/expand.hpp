// SPDX-License-Identifier: Apache-2.0
// A sweep as the runs that it stands for: every arm under every teacher with every seed.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/forward/model.hpp"
#include "core/plugin/registry.hpp"
#include "core/recipe/sweep_recipe.hpp"
#include "core/sweep/differences.hpp"
#include "core/sweep/match.hpp"

namespace espalier {

struct SweepRun {
  std::string name;  // <arm>-seed<k>, with several teachers <arm>-<teacher>-seed<k>; its folder in the sweep's
  std::string arm, teacher;
  std::uint64_t seed = 0;
  Recipe recipe;  // whole: sizes are solved for, name, seed and output are the run's
};

struct Sweep {
  SweepRecipe recipe;
  std::vector<SweepRun> runs;  // by arm, teacher, seed
  std::vector<Difference> differences;
  std::vector<Matched> matched;  // one for each teacher; empty without match
};

// Checks every arm as `run` checks a recipe, solves the sizes that are free, and names the runs. The recipes'
// components are known to `registry` and their options are checked. RecipeError for arms that are the same, that cannot
// be matched, and for all that a recipe alone can be refused for. Throughput is measured where `compute` says.
Sweep expand(SweepRecipe recipe, const Registry& registry, Compute compute);

}  // namespace espalier
