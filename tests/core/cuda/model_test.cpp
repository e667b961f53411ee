// SPDX-License-Identifier: Apache-2.0
// Whole models with kernels against the same models computed by LibTorch on the CPU.
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/forward/model.hpp"
#include "test_device.hpp"
#include "tests/core/forward/specs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

// Final hidden states, and the gradients of a fixed direction of them by every tensor.
std::vector<at::Tensor> run(const ModelSpec& spec, Compute compute) {
  Model model(spec, 7, compute);
  model.set_requires_grad(true);
  at::manual_seed(8);
  const at::Tensor tokens = at::randint(spec.vocab, {2, 12}, at::kLong).to(compute.device);
  const at::Tensor hidden = hidden_states(model, tokens);
  const at::Tensor along = at::randn(hidden.sizes()).to(compute.device);
  std::vector<at::Tensor> wanted;
  for (const at::Tensor& tensor : model.tensors()) wanted.push_back(tensor);
  std::vector<at::Tensor> results =
      torch::autograd::grad({(hidden.to(at::kFloat) * along).sum()}, wanted, {}, std::nullopt, false, true);
  results.push_back(hidden.detach());
  return results;
}

}  // namespace

TEST_CASE("models of every family have the hidden states and gradients that LibTorch computes") {
  for (const std::string& family : families()) {
    const ModelSpec spec = tiny(family);
    const std::vector<at::Tensor> exact = run(spec, {at::kFloat, at::kCPU});
    const KernelsOn kernels;
    CAPTURE(family);
    // Float32: rounding through three layers. Bfloat16: 2^-8 for each of some dozen roundings, as norms of whole
    // tensors.
    for (const auto& [dtype, tolerance] : {std::pair(at::kFloat, 1e-5), std::pair(at::kBFloat16, 0.06)}) {
      if (dtype == at::kFloat && kernels.device().is_cuda()) continue;  // flash attention has no float32
      const std::vector<at::Tensor> got = run(spec, {dtype, kernels.device()});
      for (std::size_t i = 0; i < got.size(); ++i) {
        REQUIRE(got[i].defined() == exact[i].defined());
        if (got[i].defined()) CHECK(relative_norm(got[i], exact[i]) < tolerance);
      }
    }
  }
}

TEST_CASE("the same bytes on every run") {
  const KernelsOn kernels;
  const ModelSpec spec = tiny("llama");
  const auto one = run(spec, {at::kBFloat16, kernels.device()}), other = run(spec, {at::kBFloat16, kernels.device()});
  for (std::size_t i = 0; i < one.size(); ++i)
    CHECK((one[i].defined() ? at::equal(one[i], other[i]) : !other[i].defined()));
}
