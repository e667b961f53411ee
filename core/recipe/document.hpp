// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/recipe/toml_source.hpp"

namespace espalier {

// A recipe's tree after `extends`, default components and --set, every value with the place it came from.
//
// A recipe replaces its base key by key inside [tables]; a value (a list, a component, [[prune]]) is replaced whole,
// and the base's `name` and `output` are not inherited. Of two keys that exclude each other (`tokens` and `steps`) the
// later word wins: the recipe's over the base's, a
// --set's over the file's.
struct Document {
  TomlNode root;
  std::string text;      // of the file itself
  bool readable = true;  // false: a syntax error was reported, and nothing else is worth saying
};

Document load_document(const fs::path& file, const std::vector<std::string>& overrides, Diagnostics& diagnostics);

// One value that is set at a path of keys and list indices.
struct Override {
  Where place;
  std::vector<std::string> path;
  TomlNode value;
};
std::vector<std::string> split_path(const std::string& path);

// `over` over `base`, as a recipe over the one that it extends.
void merge_document(TomlNode& base, const TomlNode& over);
// Sets each value in the order of the list; of two keys that exclude each other, that of the list stays.
void apply_overrides(TomlNode& root, const std::vector<Override>& items, Diagnostics& diagnostics);
void add_default_components(TomlNode& root);

struct Recipe;
// Reads the tables of a whole document into `recipe`, whose `file` is known (recipe.cpp).
void read_recipe(const TomlNode& root, Recipe& recipe, Diagnostics& diagnostics);

}  // namespace espalier
