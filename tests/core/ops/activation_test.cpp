// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/ops/ops.hpp"
#include "gradcheck.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

at::Tensor plain_activation(Activation activation, const at::Tensor& x) {
  return activation == Activation::silu ? x * at::sigmoid(x) : at::relu(x).square();
}

}  // namespace

TEST_CASE("mlp_activation is act(gate)·up, or act alone") {
  at::manual_seed(1);
  for (const Activation activation : {Activation::silu, Activation::relu2}) {
    const at::Tensor gate = at::randn({3, 5, 37}) * 4, up = at::randn({3, 5, 37});
    CHECK(difference(mlp_activation(activation, gate, up), plain_activation(activation, gate) * up) < 1e-5);
    CHECK(difference(mlp_activation(activation, gate, {}), plain_activation(activation, gate)) < 1e-5);
    const at::Tensor half = gate.to(at::kBFloat16);
    CHECK((mlp_activation(activation, half, half).scalar_type() == at::kBFloat16));
  }
}

TEST_CASE("silu is exact to float precision over its whole range") {
  const at::Tensor x = at::linspace(-100, 100, 200001, at::kFloat);
  const at::Tensor exact = plain_activation(Activation::silu, x.to(at::kDouble));
  const at::Tensor error = (mlp_activation(Activation::silu, x, {}).to(at::kDouble) - exact).abs();
  CHECK((error / (exact.abs() + 1e-30)).masked_select(x > -80).max().item<double>() < 5e-7);
  CHECK(error.max().item<double>() < 1e-5);
}

TEST_CASE("gradients of mlp_activation agree with finite differences") {
  at::manual_seed(2);
  for (const Activation activation : {Activation::silu, Activation::relu2}) {
    const auto gated = [&](const std::vector<at::Tensor>& in) { return mlp_activation(activation, in[0], in[1]); };
    const auto alone = [&](const std::vector<at::Tensor>& in) { return mlp_activation(activation, in[0], {}); };
    const at::Tensor gate = at::randn({3, 7}, at::kDouble), up = at::randn({3, 7}, at::kDouble);
    CHECK(gradient_error(gated, {gate, up}) < 1e-7);
    CHECK(gradient_error(alone, {gate}) < 1e-7);
  }
}

TEST_CASE("float32 gradients agree with those of plain operations") {
  const auto gradients = [](const auto& f) {
    at::manual_seed(3);
    const at::Tensor gate = (at::randn({50, 41}) * 3).set_requires_grad(true);
    const at::Tensor up = at::randn({50, 41}).set_requires_grad(true);
    return torch::autograd::grad({(f(gate, up) * at::randn({50, 41})).sum()}, {gate, up});
  };
  for (const Activation activation : {Activation::silu, Activation::relu2}) {
    const auto ours = gradients([&](const auto& g, const auto& u) { return mlp_activation(activation, g, u); });
    const auto same = gradients([&](const auto& g, const auto& u) { return plain_activation(activation, g) * u; });
    CHECK(difference(ours[0], same[0]) < 5e-6);
    CHECK(difference(ours[1], same[1]) < 5e-6);
  }
}

TEST_CASE("activations and their gradients are finite at extreme inputs") {
  const at::Tensor x = at::tensor({0.0, -0.0, 87.0, -87.0, 88.5, -88.5, 1e4, -1e4, 1e18, -3e38, 1e-40}).to(at::kFloat);
  const at::Tensor gate = x.clone().set_requires_grad(true), up = at::ones_like(x).set_requires_grad(true);
  const at::Tensor y = mlp_activation(Activation::silu, gate, up);
  CHECK(y.isfinite().all().item<bool>());
  for (const at::Tensor& gradient : torch::autograd::grad({y.sum()}, {gate, up})) {
    CHECK(gradient.isfinite().all().item<bool>());
  }
  CHECK(mlp_activation(Activation::silu, x, {})[9].item<float>() == 0);
  CHECK(mlp_activation(Activation::relu2, x, {})[8].item<float>() == doctest::Approx(1e36));
}

TEST_CASE("a second derivative is refused, not wrong") {
  const at::Tensor x = at::randn({4}).set_requires_grad(true);
  const at::Tensor y = mlp_activation(Activation::silu, x, {});
  CHECK_THROWS(torch::autograd::grad({y.sum()}, {x}, {}, true, /*create_graph=*/true));
}
