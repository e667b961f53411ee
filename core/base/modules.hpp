// SPDX-License-Identifier: Apache-2.0
// Optional parts of the program: shared libraries that are built when what they need is there, and opened when asked
// for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace espalier {

// Where modules are looked for: the folders of ESPALIER_MODULE_PATH, then beside the program: lib (a build folder) and
// ../lib/espalier (an installation).
std::vector<std::filesystem::path> module_search_path();

// The file <name>.so on that path, or an empty path.
std::filesystem::path find_module(const std::string& name);

// Opens a library for good and returns what dlsym finds under `symbol`. Throws Error with the linker's words. `global`:
// what the library underneath loads later looks for its symbols, as MPI's parts do.
void* symbol_of_module(const std::filesystem::path& file, const std::string& symbol, bool global = false);

}  // namespace espalier
