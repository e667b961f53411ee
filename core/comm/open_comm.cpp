// SPDX-License-Identifier: Apache-2.0
#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/modules.hpp"
#include "core/comm/module.hpp"

namespace espalier {
namespace {

const char* module_for(const at::Device& device) { return device.is_cpu() ? "espalier_mpi" : "espalier_nccl"; }

const char* advice_for(const at::Device& device) {
  return device.is_cpu() ? "a build where an MPI library is installed, such as libopenmpi-dev"
                         : "a build with the CUDA 13.0 toolkit and NCCL, both installed";
}

fs::path file_of(const at::Device& device) {
  const fs::path file = find_module(module_for(device));
  if (!file.empty()) return file;
  std::string searched;
  for (const fs::path& folder : module_search_path()) searched += "\n         " + folder.string();
  fail("several ranks need the module {}, which is not there; expected it ({}) in one of{}", module_for(device),
       advice_for(device), searched);
}

// The module's functions, with the version of the program that they belong to.
template <class Entry>
Entry entry(const fs::path& file, const char* symbol) {
  return reinterpret_cast<Entry>(symbol_of_module(file, symbol, /*global=*/true));
}

ModuleComm maker_for(const at::Device& device) {
  const fs::path file = file_of(device);
  const std::string version = entry<ModuleVersion>(file, kModuleVersion)();
  if (version != ESPALIER_VERSION)
    fail("{}: the module is of another version; got {}; expected {}", file.string(), version, ESPALIER_VERSION);
  return entry<ModuleComm>(file, kModuleComm);
}

}  // namespace

std::string comm_problem(const at::Device& device) {
  try {
    maker_for(device);
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
  return std::unique_ptr<Comm>(maker_for(device)(launch, device));
}

}  // namespace espalier
