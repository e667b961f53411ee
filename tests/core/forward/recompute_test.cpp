// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <doctest/doctest.h>

#include "specs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

// Gradients of all parameters after a pass over two sequences and its way back.
std::vector<at::Tensor> gradients(const ModelSpec& spec, Recompute recompute) {
  Model model(spec, 3, kFloat32);
  model.set_requires_grad(true);
  at::manual_seed(4);
  const at::Tensor tokens = at::randint(0, spec.vocab, {2, 11}, at::kLong);
  at::AutoGradMode grad_mode(true);
  const at::Tensor hidden = hidden_states(model, tokens, nullptr, nullptr, recompute);
  hidden.backward(at::randn(hidden.sizes()));
  std::vector<at::Tensor> all{hidden.detach()};
  for (const at::Tensor& tensor : model.tensors()) {
    if (tensor.grad().defined()) all.push_back(tensor.grad());  // an untied head has none
  }
  return all;
}

}  // namespace

TEST_CASE("what is made again in the backward pass changes no bit of any gradient, in any family") {
  for (const std::string& family : families()) {
    CAPTURE(family);
    const ModelSpec spec = tiny(family);
    const std::vector<at::Tensor> kept = gradients(spec, Recompute::none);
    CHECK(kept.size() > 20);
    for (const Recompute recompute : {Recompute::cheap, Recompute::layers}) {
      const std::vector<at::Tensor> again = gradients(spec, recompute);
      REQUIRE(again.size() == kept.size());
      for (std::size_t i = 0; i < kept.size(); ++i) {
        CAPTURE(i);
        CHECK(at::equal(again[i], kept[i]));
      }
    }
  }
}

TEST_CASE("layers without attention or without an MLP are made again, too") {
  ModelSpec spec = tiny("llama");
  spec.layers[0].attention = false;
  spec.layers[1].mlp = false;
  const std::vector<at::Tensor> kept = gradients(spec, Recompute::none);
  for (const Recompute recompute : {Recompute::cheap, Recompute::layers}) {
    const std::vector<at::Tensor> again = gradients(spec, recompute);
    REQUIRE(again.size() == kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(at::equal(again[i], kept[i]));
  }
}
