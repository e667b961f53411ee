// SPDX-License-Identifier: Apache-2.0
// [sweep] as typed structs: arms × seeds (× teachers) of one recipe, and what they must agree in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/recipe/search_block.hpp"
#include "core/recipe/toml_source.hpp"

namespace espalier {

struct SweepTeacher {
  fs::path path;
  std::string name;  // in the names of runs; the path's last part unless the recipe gives another
  Where where;
};

// One compared variant: what it changes in the recipe around it.
struct SweepArm {
  std::string name;
  std::string free;  // the axis of the [[prune]] block whose keep is solved for; "": none
  TomlNode changes;  // `set` and tables of a recipe, as written
  Where where, free_where;
};

// What every arm must cost alike.
struct SweepMatch {
  SearchBudget budget;  // its `by`, `target`, `tolerance` (absent: 0.01), `batch`, `sequence`, `dtype`
  std::string to;       // the arm that gives the target where the recipe gives none; "": the first without `free`
  Where where, to_where;
};

struct SweepBlock {
  std::vector<std::int64_t> seeds;  // absent: the recipe's alone
  std::vector<SweepTeacher> teachers;
  std::string baseline;  // absent: the first arm
  std::optional<SweepMatch> match;
  std::vector<SweepArm> arms;
  Where where, seeds_where, teachers_where, baseline_where;
};

}  // namespace espalier
