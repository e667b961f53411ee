// SPDX-License-Identifier: Apache-2.0
// The resolved recipes of runs, and where they differ.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/files.hpp"
#include "core/recipe/toml_source.hpp"

namespace espalier {

struct RunRecipe {
  TomlNode tree;  // without seed, name and output, and of [lock] only what does not follow from them
  std::int64_t seed = 0;
  fs::path teacher;          // the folder that it names; empty when the run starts from a spec
  std::string text() const;  // equal for runs that are seeds of one arm
};

// recipe.lock.toml of a run; none when it has none. Error when it cannot be read.
std::optional<RunRecipe> read_run_recipe(const fs::path& run);

// `differences` of comparison.json: the places where recipes differ, as TOML text, "-" where a recipe has nothing.
// Components of different names differ as a whole. `arms`: name and recipe.
nlohmann::json recipe_differences(const std::vector<std::pair<std::string, const RunRecipe*>>& arms);

}  // namespace espalier
