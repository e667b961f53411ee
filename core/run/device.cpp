// SPDX-License-Identifier: Apache-2.0
#include "core/run/device.hpp"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

#include <cstring>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/modules.hpp"
#include "core/base/strings.hpp"
#include "core/ops/device_module.hpp"
#include "core/ops/operators.hpp"
#include "core/run/gpu_settings.hpp"

namespace espalier {
namespace {

constexpr const char* kModule = "espalier_cuda";

// LibTorch's CUDA part. Global, because the operators it registers are looked up by libtorch_cpu; never closed.
void open_torch_cuda() {
  const fs::path library = torch_library_folder() / "libtorch_cuda.so";
  if (!fs::exists(library)) fail("{} is not there; expected the CUDA build of LibTorch", library.string());
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    fail("cannot load {}; got {}; expected the CUDA 13 libraries on the library path", library.string(), dlerror());
  }
}

const DeviceModule& open_kernels() {
  const fs::path file = find_module(kModule);
  if (file.empty()) {
    std::vector<std::string> folders;
    for (const fs::path& folder : module_search_path()) folders.push_back(folder.string());
    fail(
        "the module {} is not there; got no {}.so in {}; expected it beside the program: it is built when CMake finds "
        "the CUDA toolkit 13 (-DESPALIER_CUDA=ON says what is missing)",
        kModule, kModule, join(folders, ", "));
  }
  open_torch_cuda();
  const auto& module = *static_cast<const DeviceModule*>(symbol_of_module(file, kDeviceModuleSymbol));
  const bool fits = module.size == sizeof(DeviceModule) && module.kernels_size == sizeof(DeviceKernels);
  if (!fits || std::strcmp(module.stamp, ESPALIER_MODULE_STAMP) != 0) {
    fail("{}: belongs to another build; got {}; expected {}", file.string(), fits ? module.stamp : "another size",
         ESPALIER_MODULE_STAMP);
  }
  return module;
}

// The module, with a GPU that can be used. Throws Error that says what is missing.
const DeviceModule& ready_kernels(int index) {
  const DeviceModule& module = open_kernels();
  if (const std::string problem = module.problem(index); !problem.empty()) fail("{}", problem);
  if (!at::hasCUDA()) fail("LibTorch finds no CUDA device, though the driver does");
  return module;
}

}  // namespace

fs::path torch_library_folder() {
  Dl_info info{};
  ESPALIER_CHECK(dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) != 0);
  return fs::path(info.dli_fname).parent_path();
}

std::string cuda_problem(int index) {
  try {
    ready_kernels(index);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::int64_t free_device_bytes(at::Device device) {
  c10::DeviceAllocator& allocator = *c10::getDeviceAllocator(device.type());
  const auto unused = static_cast<std::int64_t>(allocator.getMemoryInfo(device.index()).first);
  if (!allocator.initialized()) return unused;
  const auto stats = allocator.getDeviceStats(device.index());
  constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return unused + stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current;
}

std::string cuda_module() { return find_module(kModule).string(); }

std::string cuda_description(int index) { return ready_kernels(index).description(index); }

Compute open_device(const std::string& name, int index) {
  if (name == "cpu") return {at::kFloat, at::kCPU};
  if (name != "cuda")
    reject("--device: unknown device; got '{}'; expected 'cpu' or 'cuda'{}", name, did_you_mean(name, {"cpu", "cuda"}));
  if (const std::string problem = cuda_problem(index); !problem.empty()) fail("--device cuda: {}", problem);
  const DeviceModule& module = ready_kernels(index);
  const std::string settings = settle_gpu(wanted_attention());
  register_device_kernels(at::kCUDA, module.kernels);
  offer_operators();
  spdlog::info("{}; {}", module.description(index), settings);
  return {at::kBFloat16, at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index))};
}

}  // namespace espalier
