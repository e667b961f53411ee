// SPDX-License-Identifier: Apache-2.0
#include "core/run/gpu_settings.hpp"

#include <ATen/Context.h>

#include <cstdlib>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

GpuAttention wanted_attention() {
  const char* variable = std::getenv("ESPALIER_ATTENTION");
  const std::string wanted = variable == nullptr ? "flash" : variable;
  if (wanted == "flash") return GpuAttention::flash;
  if (wanted == "cudnn") return GpuAttention::cudnn;
  reject("ESPALIER_ATTENTION: unknown kernels; got '{}'; expected 'flash' or 'cudnn'{}", wanted,
         did_you_mean(wanted, {"flash", "cudnn"}));
}

std::string settle_gpu(GpuAttention attention) {
  const bool cudnn = attention == GpuAttention::cudnn;
  at::Context& context = at::globalContext();
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);  // without it cuBLAS refuses to be deterministic
  context.setDeterministicAlgorithms(true, /*warn_only=*/cudnn);
  context.setDeterministicFillUninitializedMemory(false);  // it would write every new tensor once more
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
  context.setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  context.setSDPUseFlash(true);
  context.setSDPUseCuDNN(cudnn);
  context.setSDPUseMemEfficient(true);
  context.setSDPUseMath(false);
  using at::SDPBackend;
  std::vector<std::int64_t> order;
  for (const SDPBackend backend : {cudnn ? SDPBackend::cudnn_attention : SDPBackend::flash_attention,
                                   cudnn ? SDPBackend::flash_attention : SDPBackend::cudnn_attention,
                                   SDPBackend::efficient_attention, SDPBackend::math, SDPBackend::overrideable}) {
    order.push_back(static_cast<std::int64_t>(backend));
  }
  context.setSDPPriorityOrder(order);
  return cudnn ? "attention by cuDNN, whose gradients may differ in the last bits from run to run; no TF32"
               : "attention by flash kernels, deterministic; no TF32";
}

}  // namespace espalier
