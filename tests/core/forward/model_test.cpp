// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/Parallel.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "specs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

const at::Tensor& of(Model& model, Role role, std::int64_t layer) {
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    if (model.parameters()[i].role == role && model.parameters()[i].layer == layer) return model.tensors()[i];
  }
  static const at::Tensor none;
  return none;
}

// In float64 throughout; next_token_nll is in float32.
at::Tensor loss(Model& model) {
  const at::Tensor all = logits(model.outer(), hidden_states(model, two_of(5))).narrow(1, 0, 4).flatten(0, 1);
  return at::cross_entropy_loss(all, two_of(5).narrow(1, 1, 4).flatten());
}

}  // namespace

TEST_CASE("random weights have the stated distributions") {
  ModelSpec spec = tiny("qwen2");
  spec.hidden = 64;
  spec.vocab = 1000;
  Model model(spec, 3, kFloat32);
  const auto deviation = [](const at::Tensor& t) { return t.std().item<double>(); };
  CHECK(deviation(of(model, Role::embed, -1)) == doctest::Approx(1.0).epsilon(0.02));
  CHECK(deviation(of(model, Role::head, -1)) == doctest::Approx(0.125).epsilon(0.02));
  CHECK(deviation(of(model, Role::down, 1)) == doctest::Approx(1 / std::sqrt(24.0)).epsilon(0.05));
  CHECK(of(model, Role::head, -1).mean().item<double>() == doctest::Approx(0.0).epsilon(0.01));
  CHECK(at::equal(of(model, Role::attn_norm, 0), at::ones({64})));
  CHECK(at::equal(of(model, Role::q_bias, 0), at::zeros({32})));
  Model nemotron(tiny("nemotron"), 3, kFloat32);
  CHECK(at::equal(of(nemotron, Role::attn_norm, 0), at::zeros({16})));
  spec.tied = true;
  Model tied(spec, 3, kFloat32);
  CHECK(deviation(of(tied, Role::embed, -1)) == doctest::Approx(0.125).epsilon(0.02));
  CHECK(tied.outer()[Role::head].is_same(tied.outer()[Role::embed]));
}

TEST_CASE("random weights are a function of spec and seed, whatever the number of threads") {
  const int threads = at::get_num_threads();
  ModelSpec spec = tiny("llama");
  spec.vocab = 5000;
  at::set_num_threads(1);
  Model one(spec, 5, kFloat32);
  at::set_num_threads(3);
  Model again(spec, 5, kFloat32), other(spec, 6, kFloat32);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.tensors().size(); ++i) {
    CHECK(at::equal(one.tensors()[i], again.tensors()[i]));
    const bool random = one.parameters()[i].shape.size() == 2;
    CHECK(at::equal(one.tensors()[i], other.tensors()[i]) != random);
  }
  CHECK_FALSE(at::equal(of(one, Role::gate, 0), of(one, Role::gate, 1)));
}

TEST_CASE("gradients of the whole model agree with finite differences, in every family") {
  for (const std::string& family : families()) {
    CAPTURE(family);
    Model model(tiny(family, 2), 11, kFloat64);
    at::manual_seed(1);
    for (at::Tensor& tensor : model.tensors()) tensor += 0.1 * at::randn_like(tensor);
    model.set_requires_grad(true);
    const std::vector<at::Tensor> gradients = torch::autograd::grad({loss(model)}, model.tensors());
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < gradients.size(); ++i) {  // along one random direction of each tensor
      const at::Tensor direction = at::randn_like(model.tensors()[i]);
      const double h = 1e-6;
      model.tensors()[i].add_(direction, h);
      const double above = loss(model).item<double>();
      model.tensors()[i].add_(direction, -2 * h);
      const double below = loss(model).item<double>();
      model.tensors()[i].add_(direction, h);
      const double numeric = (above - below) / (2 * h), exact = (gradients[i] * direction).sum().item<double>();
      CAPTURE(model.parameters()[i].name);
      CHECK(exact == doctest::Approx(numeric).epsilon(1e-5).scale(0.01));
    }
  }
}

TEST_CASE("the future does not change the past") {
  for (const std::string& family : families()) {
    Model model(tiny(family), 2, kFloat32);
    at::Tensor changed = two_of(5).clone();
    changed.select(1, 4).fill_(30);
    const at::Tensor before = hidden_states(model, two_of(5)), after = hidden_states(model, changed);
    CHECK(difference(before.narrow(1, 0, 4), after.narrow(1, 0, 4)) < 1e-6);
    CHECK(difference(before.select(1, 4), after.select(1, 4)) > 1e-3);
  }
}

TEST_CASE("a token outside the vocabulary is refused") {
  Model model(tiny("llama"), 2, kFloat32);
  CHECK_THROWS_WITH(hidden_states(model, at::full({1, 3}, 37)),
                    "tokens: token outside the vocabulary; got 37; expected 0 to 36");
  CHECK_THROWS_WITH(hidden_states(model, at::full({1, 3}, -1)),
                    "tokens: token outside the vocabulary; got -1; expected 0 to 36");
}
