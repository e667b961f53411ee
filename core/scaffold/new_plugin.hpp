// SPDX-License-Identifier: Apache-2.0
// `espalier plugins new`: the project that a plugin begins as, written from the templates.
#pragma once

#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

struct NewPlugin {
  std::string kind;  // as the command line says it: "metric", "feature-loss"
  std::string name;  // of the plugin, its component, its library and its files
  fs::path folder;   // does not exist, or is empty
  bool cuda = false;
};

// RecipeError for a kind, a name or a folder that cannot be; looks at nothing but the arguments and the folder.
void check_new_plugin(const NewPlugin& wanted);

// Writes the project; nothing of it stays when that fails. Returns its files, sorted, relative to the folder.
std::vector<std::string> write_new_plugin(const NewPlugin& wanted);

// Where find_package(Espalier) finds the SDK of this program: the prefix it is installed in, or its build folder.
fs::path package_prefix();

}  // namespace espalier
