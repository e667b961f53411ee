// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/plugin/registry.hpp"

namespace espalier {

// Reads the stamp from the file, refuses what was built for another host (every difference at once, with the command
// that rebuilds), loads the library for the rest of the process and registers its components. Throws Error.
void load_plugin(const fs::path& library, Registry& registry);

// Folders that are searched, in order: ESPALIER_PLUGIN_PATH, the user's folder, beside the program.
std::vector<fs::path> plugin_search_path();

// Every lib*.so of the search path; one that fails to load is a warning. Then `named`, where a failure is an error.
void load_plugins(const std::vector<fs::path>& named, Registry& registry);

}  // namespace espalier
