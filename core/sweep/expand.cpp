// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/expand.hpp"

#include <algorithm>
#include <map>

#include "core/base/strings.hpp"
#include "core/run/lock.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"
#include "core/run/training_check.hpp"

namespace espalier {
namespace {

// The arms' recipes under one teacher.
std::vector<ArmRecipe> arms_under(const SweepRecipe& sweep, const SweepTeacher& teacher) {
  std::vector<ArmRecipe> arms = sweep.arms;
  if (sweep.sweep.teachers.empty()) return arms;  // each its own
  for (ArmRecipe& arm : arms) arm.recipe = with_teacher(std::move(arm.recipe), teacher);
  return arms;
}

// What `run` checks of a recipe before it begins.
void check_arm(const ArmRecipe& arm, const Registry& registry) {
  const Run run(arm.recipe, registry, {at::kFloat, at::kCPU});
  check_training(run, plan_from_config(run).student);
  check_jobs(run);
}

// Two arms that are one recipe would be told apart by chance alone.
void check_distinct(const std::vector<ArmRecipe>& arms, const Registry& registry, Diagnostics& diagnostics) {
  std::map<std::string, std::string> known;  // recipe → arm
  for (const ArmRecipe& arm : arms) {
    const auto [entry, added] = known.try_emplace(resolved_recipe(arm.recipe, registry), arm.arm.name);
    if (added) continue;
    diagnostics.error(arm.arm.where, "sweep",
                      fmt::format("arm '{}' is the same recipe as arm '{}'", arm.arm.name, entry->second), "",
                      "arms that differ in something");
  }
}

std::string run_name(const Sweep& sweep, const std::string& arm, const std::string& teacher, std::uint64_t seed) {
  const std::string middle = sweep.recipe.many_teachers() ? "-" + teacher : "";
  return fmt::format("{}{}-seed{}", arm, middle, seed);
}

void add_runs(Sweep& sweep, const ArmRecipe& arm, const SweepTeacher& teacher) {
  for (const std::uint64_t seed : sweep.recipe.seeds) {
    SweepRun run{run_name(sweep, arm.arm.name, teacher.name, seed), arm.arm.name, teacher.name, seed, arm.recipe};
    run.recipe.name = run.name;
    run.recipe.seed = seed;
    run.recipe.output = sweep.recipe.output / run.name;
    sweep.runs.push_back(std::move(run));
  }
}

// "a" under teacher "b-c" and "a-b" under "c" would share a folder.
void check_names(const Sweep& sweep, Diagnostics& diagnostics) {
  std::map<std::string, const SweepRun*> known;
  for (const SweepRun& run : sweep.runs) {
    const auto [entry, added] = known.try_emplace(run.name, &run);
    if (added) continue;
    diagnostics.error(sweep.recipe.sweep.where, "sweep",
                      fmt::format("arm '{}' under teacher '{}' and arm '{}' under teacher '{}' have the same name",
                                  entry->second->arm, entry->second->teacher, run.arm, run.teacher),
                      "'" + run.name + "'", "other names of arms or teachers");
  }
}

}  // namespace

Sweep expand(SweepRecipe recipe, const Registry& registry, Compute compute) {
  Sweep sweep;
  sweep.recipe = std::move(recipe);
  Diagnostics diagnostics;
  std::vector<std::vector<ArmRecipe>> by_teacher;
  for (const SweepTeacher& teacher : sweep.recipe.teachers) {
    by_teacher.push_back(arms_under(sweep.recipe, teacher));
    if (sweep.recipe.sweep.match)
      sweep.matched.push_back(solve(sweep.recipe, teacher, by_teacher.back(), registry, compute, diagnostics));
  }
  check_distinct(by_teacher.front(), registry, diagnostics);
  diagnostics.throw_if_any();
  std::vector<std::pair<std::string, std::string>> resolved;
  for (std::size_t i = 0; i < sweep.recipe.arms.size(); ++i) {
    for (std::size_t t = 0; t < by_teacher.size(); ++t) {
      const ArmRecipe& arm = by_teacher[t][i];
      check_arm(arm, registry);
      if (t == 0) resolved.emplace_back(arm.arm.name, resolved_recipe(arm.recipe, registry));
      add_runs(sweep, arm, sweep.recipe.teachers[t]);
    }
  }
  check_names(sweep, diagnostics);
  diagnostics.throw_if_any();
  sweep.differences = differences(resolved);
  return sweep;
}

}  // namespace espalier
