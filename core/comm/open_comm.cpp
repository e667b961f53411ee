// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/comm/module.hpp"

namespace espalier {
namespace {

// ESPALIER_MODULES, then beside the program as it is built and as it is installed.
std::vector<fs::path> folders() {
  std::vector<fs::path> list;
  if (const char* named = std::getenv("ESPALIER_MODULES"); named != nullptr && *named != '\0') list.emplace_back(named);
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  list.push_back(program / "lib");
  list.push_back(program.parent_path() / "lib/espalier");
  return list;
}

void* open(const std::string& name, const char* advice) {
  std::string searched;
  for (const fs::path& folder : folders()) {
    const fs::path path = folder / ("lib" + name + ".so");
    searched += "\n         " + folder.string();
    if (!fs::exists(path)) continue;
    // Global: what the library underneath loads later looks for its symbols. Never closed, as with plugins.
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr)
      fail("{}: the module does not load; got {}; expected {}", path.string(), ::dlerror(), advice);
    return library;
  }
  fail("several ranks need the module {}, which is not there; expected it ({}) in one of{}", name, advice, searched);
}

const char* module_for(const at::Device& device) { return device.is_cpu() ? "espalier_mpi" : "espalier_nccl"; }

const char* advice_for(const at::Device& device) {
  return device.is_cpu() ? "a build where an MPI library is installed, such as libopenmpi-dev"
                         : "a build with the CUDA 13.0 toolkit and NCCL, both installed";
}

template <class Entry>
Entry entry(void* library, const std::string& name, const char* symbol) {
  void* address = ::dlsym(library, symbol);
  if (address == nullptr) fail("{}: not a module of this program; got no {}; expected a whole build", name, symbol);
  Entry function;
  std::memcpy(&function, &address, sizeof(function));
  return function;
}

std::unique_ptr<Comm> from_module(const std::string& name, const char* advice, const Launch& launch,
                                  const at::Device& device) {
  void* library = open(name, advice);
  const std::string version = entry<ModuleVersion>(library, name, kModuleVersion)();
  if (version != ESPALIER_VERSION)
    fail("{}: the module is of another version; got {}; expected {}", name, version, ESPALIER_VERSION);
  return std::unique_ptr<Comm>(entry<ModuleComm>(library, name, kModuleComm)(launch, device));
}

}  // namespace

std::string comm_problem(const at::Device& device) {
  try {
    open(module_for(device), advice_for(device));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::unique_ptr<Comm> open_comm(const Launch& launch, const at::Device& device) {
  if (launch.size == 1) return one_process();
  if (device.is_cpu() && launch.launcher == "torchrun") {
    reject(
        "--device cpu: ranks on the CPU speak MPI, which torchrun does not start; got {0} ranks from torchrun; "
        "expected "
        "mpirun -n {0} espalier … or srun -n {0} espalier …",
        launch.size);
  }
  return from_module(module_for(device), advice_for(device), launch, device);
}

}  // namespace espalier
