// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/plugin/registry.hpp"

namespace espalier {

// Reads the stamp from the file, refuses what was built for another host (every difference at once, and how to
// rebuild), loads the library for the rest of the process and registers its components; on Error nothing of it stays
// registered. A library that the registry holds already, by whatever path, is not loaded again.
void load_plugin(const fs::path& library, Registry& registry);

// Folders that are searched, in order: ESPALIER_PLUGIN_PATH (a:b:c), the user's (XDG_DATA_HOME or ~/.local/share, then
// espalier/plugins), <program's folder>/plugins, <program's folder>/../lib/espalier/plugins.
std::vector<fs::path> plugin_search_path();

// Every lib*.so of the search path, sorted by name; one that fails to load is a warning. Of two with one file name the
// first found wins. Then `named` (from a recipe): a path, or a bare name such as "mine" for libmine.so on the search
// path. There a failure is an Error, and a path replaces a library of the same file name on the search path.
void load_plugins(const std::vector<fs::path>& named, Registry& registry);

}  // namespace espalier
