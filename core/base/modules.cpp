// SPDX-License-Identifier: Apache-2.0
#include "core/base/modules.hpp"

#include <dlfcn.h>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

namespace fs = std::filesystem;

std::vector<fs::path> module_search_path() {
  std::vector<fs::path> folders;
  for (const std::string& folder : parts_of_variable("ESPALIER_MODULE_PATH")) folders.emplace_back(folder);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  folders.push_back(program / "lib");
  folders.push_back((program / "../lib/espalier").lexically_normal());
  return folders;
}

fs::path find_module(const std::string& name) {
  std::error_code error;
  for (const fs::path& folder : module_search_path()) {
    const fs::path file = folder / (name + ".so");
    if (fs::exists(file, error)) return file;
  }
  return {};
}

void* symbol_of_module(const fs::path& file, const std::string& symbol, bool global) {
  // Never closed: LibTorch keeps pointers into code that was loaded after it.
  void* handle = dlopen(file.c_str(), RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
  if (handle == nullptr) fail("{}: cannot be loaded; got {}", file.string(), dlerror());
  void* found = dlsym(handle, symbol.c_str());
  if (found == nullptr) fail("{}: is no module of espalier; got no symbol {}", file.string(), symbol);
  return found;
}

}  // namespace espalier
