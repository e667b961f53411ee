// SPDX-License-Identifier: Apache-2.0
#include "core/base/modules.hpp"

#include <dlfcn.h>

#include <cstdlib>

#include "core/base/error.hpp"

namespace espalier {

namespace fs = std::filesystem;

std::vector<fs::path> module_search_path() {
  std::vector<fs::path> folders;
  if (const char* variable = std::getenv("ESPALIER_MODULE_PATH")) {
    const std::string text = variable;
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find(':', begin), text.size());
      if (end > begin) folders.emplace_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
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
