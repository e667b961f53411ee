// SPDX-License-Identifier: Apache-2.0
// A recipe with [sweep] as one recipe for each arm.
#pragma once

#include <string>
#include <vector>

#include "core/recipe/recipe.hpp"
#include "core/recipe/sweep_block.hpp"

namespace espalier {

struct ArmRecipe {
  SweepArm arm;
  // With the first of the sweep's teachers and the file's own name, seed and output. The [[prune]] block of `arm.free`
  // keeps everything until its size is solved for.
  Recipe recipe;
};

struct SweepRecipe {
  std::string name;
  fs::path file, output;
  std::string text;  // the file as it was read
  std::vector<fs::path> plugins;
  SweepBlock sweep;      // as written
  std::string baseline;  // from here on with defaults resolved
  std::string match_to;  // the arm that gives the target of the match; "" where the recipe does, or without match
  std::vector<std::uint64_t> seeds;
  std::vector<SweepTeacher> teachers;  // at least the recipe's own
  bool many_teachers() const { return teachers.size() > 1; }
  std::vector<ArmRecipe> arms;
};

// Reads a recipe with [sweep]. Each arm is merged over the recipe as a recipe over the one that it extends, then its
// `set` is applied as --set is; --set itself changes the recipe below the arms. All problems of all arms are collected
// in `diagnostics`, each once, at their places in the file. Throws Error when `file` cannot be read.
SweepRecipe parse_sweep(const fs::path& file, const Overrides& overrides, Diagnostics& diagnostics);

// The recipe of an arm under another teacher.
Recipe with_teacher(Recipe recipe, const SweepTeacher& teacher);

// [sweep] as TOML that reads back to the same.
std::string sweep_text(const SweepBlock& sweep);

}  // namespace espalier
