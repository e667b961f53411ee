// SPDX-License-Identifier: Apache-2.0
#include "core/run/device.hpp"

#include <ATen/Context.h>
#include <dlfcn.h>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

fs::path torch_library_folder() {
  Dl_info info{};
  ESPALIER_CHECK(dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) != 0);
  return fs::path(info.dli_fname).parent_path();
}

std::string cuda_problem() {
  const fs::path library = torch_library_folder() / "libtorch_cuda.so";
  if (!fs::exists(library))
    return fmt::format("{} is not there; expected the CUDA build of LibTorch", library.string());
  // Global, because the operators it registers are looked up by libtorch_cpu; never closed (see the loader of plugins).
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return fmt::format("cannot load {}; got {}; expected the CUDA 13.0 toolkit libraries on the library path",
                       library.string(), dlerror());
  }
  if (!at::hasCUDA())
    return "no CUDA device; got LibTorch's CUDA part, but no driver or no GPU answers; expected an NVIDIA driver for "
           "CUDA 13";
  return "";
}

Compute open_device(const std::string& name) {
  if (name == "cpu") return {at::kFloat, at::kCPU};
  if (name != "cuda")
    reject("--device: unknown device; got '{}'; expected 'cpu' or 'cuda'{}", name, did_you_mean(name, {"cpu", "cuda"}));
  if (const std::string problem = cuda_problem(); !problem.empty()) fail("--device cuda: {}", problem);
  return {at::kBFloat16, at::Device(at::kCUDA, 0)};
}

}  // namespace espalier
