// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include <ATen/Context.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/run/gpu_settings.hpp"

using namespace espalier;

TEST_CASE("attention on a GPU is flash unless cuDNN is asked for, and nothing else is known") {
  unsetenv("ESPALIER_ATTENTION");
  CHECK((wanted_attention() == GpuAttention::flash));
  setenv("ESPALIER_ATTENTION", "cudnn", 1);
  CHECK((wanted_attention() == GpuAttention::cudnn));
  setenv("ESPALIER_ATTENTION", "cudn", 1);
  CHECK_THROWS_WITH_AS(
      wanted_attention(),
      "ESPALIER_ATTENTION: unknown kernels; got 'cudn'; expected 'flash' or 'cudnn'; did you mean 'cudnn'?",
      RecipeError);
  unsetenv("ESPALIER_ATTENTION");
}

TEST_CASE("the chosen attention comes first, plain products are off, and runs repeat to the last bit") {
  at::Context& context = at::globalContext();
  CHECK(settle_gpu(GpuAttention::cudnn).find("cuDNN") != std::string::npos);
  CHECK((context.sDPPriorityOrder()[0] == at::SDPBackend::cudnn_attention));
  CHECK(context.userEnabledCuDNNSDP());
  CHECK(context.deterministicAlgorithmsWarnOnly());  // strictly deterministic, LibTorch would not take cuDNN
  CHECK(settle_gpu(GpuAttention::flash).find("flash") != std::string::npos);
  CHECK((context.sDPPriorityOrder()[0] == at::SDPBackend::flash_attention));
  CHECK(!context.userEnabledCuDNNSDP());
  CHECK(!context.userEnabledMathSDP());
  CHECK(context.deterministicAlgorithms());
  CHECK(!context.deterministicAlgorithmsWarnOnly());
  CHECK(!context.allowTF32CuBLAS());
  CHECK(std::string(std::getenv("CUBLAS_WORKSPACE_CONFIG")) == ":4096:8");
  // As a process without a GPU has it: other cases go on in this one.
  context.setDeterministicAlgorithms(false, false);
  context.setSDPUseMath(true);
  context.setSDPUseCuDNN(true);
}
