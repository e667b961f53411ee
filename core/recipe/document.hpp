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

}  // namespace espalier
