// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/recipe/recipe.hpp"
#include "tests/support/temporary_folder.hpp"

namespace espalier_test {

// A folder of recipes that goes away with the test case.
class RecipeFolder : public espalier::test::TemporaryFolder {
 public:
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  // Messages without the folder's path.
  std::string plain(std::string text) const {
    const std::string prefix = path_.string() + "/";
    for (std::size_t at; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
    return text;
  }
};

// What a recipe without the mistakes under test looks like.
inline const std::string kTeacher = "[teacher]\npath = \"t\"\n";

inline espalier::Recipe parse(const std::string& text, const espalier::Overrides& overrides = {}) {
  const RecipeFolder folder;
  espalier::Diagnostics diagnostics;
  espalier::Recipe recipe = espalier::parse_recipe(folder.write("r.toml", text), overrides, diagnostics);
  CHECK_MESSAGE(diagnostics.empty(), diagnostics.text());
  return recipe;
}

inline std::string problems(const std::string& text, const espalier::Overrides& overrides = {}) {
  const RecipeFolder folder;
  espalier::Diagnostics diagnostics;
  espalier::parse_recipe(folder.write("r.toml", text), overrides, diagnostics);
  return folder.plain(diagnostics.text());
}

}  // namespace espalier_test
