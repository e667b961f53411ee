// SPDX-License-Identifier: Apache-2.0
// The MLP's inner function and the rotation, forward and backward, against plain formulas in float64.
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/ops/ops.hpp"
#include "test_device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

at::Tensor plain_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  const at::Tensor act = activation == Activation::silu ? gate * at::sigmoid(gate) : at::relu(gate).square();
  return up.defined() ? act * up : act;
}

at::Tensor leaf(const at::Tensor& x) { return x.detach().clone().set_requires_grad(true); }

void compare_activation(Activation activation, at::ScalarType dtype, const at::Tensor& gate, const at::Tensor& up) {
  const KernelsOn kernels;
  const at::Tensor along = at::randn(gate.sizes()).to(dtype).to(at::kDouble);
  const auto run = [&](const at::Tensor& g, const at::Tensor& u, const at::Tensor& direction, const auto& f) {
    const at::Tensor y = f(g, u);
    std::vector<at::Tensor> wanted{g};
    if (u.defined()) wanted.push_back(u);
    std::vector<at::Tensor> all = torch::autograd::grad({(y.to(at::kDouble) * direction).sum()}, wanted);
    all.push_back(y);
    return all;
  };
  const auto placed = [&](const at::Tensor& x) { return x.defined() ? leaf(kernels(x)) : x; };
  const auto widened = [](const at::Tensor& x) { return x.defined() ? leaf(x.to(at::kDouble)) : x; };
  const auto got = run(placed(gate), placed(up), kernels(along),
                       [&](const auto& g, const auto& u) { return mlp_activation(activation, g, u); });
  const auto exact = run(widened(gate), widened(up), along,
                         [&](const auto& g, const auto& u) { return plain_activation(activation, g, u); });
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(beyond_rounding(got[i], exact[i]) < 1e-6);
}

// x (B, N, T, D) turned by the table, in float64.
at::Tensor turned(const at::Tensor& x, const Rotary& table) {
  const std::int64_t width = table.cos.size(1), half = width / 2, positions = x.size(2);
  const at::Tensor cos = table.cos.narrow(0, 0, positions), sin = table.sin.narrow(0, 0, positions);
  const at::Tensor first = x.narrow(3, 0, half), second = x.narrow(3, half, half);
  const at::Tensor c = cos.narrow(1, 0, half), s = sin.narrow(1, 0, half);
  return at::cat({first * c - second * s, second * c + first * s, x.narrow(3, width, x.size(3) - width)}, 3);
}

void compare_rotation(at::ScalarType dtype, std::int64_t head_dim, double partial, bool transposed) {
  const KernelsOn kernels;
  Rope rope;
  rope.partial = partial;
  const Rotary table = rotary_table(rope, head_dim, 11, dtype, kernels.device());
  const Rotary exact_table{table.cos.to(at::kCPU, at::kDouble), table.sin.to(at::kCPU, at::kDouble)};
  const at::Tensor data =
      transposed ? at::randn({2, 9, 3, head_dim}).to(dtype).transpose(1, 2) : at::randn({2, 3, 9, head_dim}).to(dtype);
  at::Tensor x = kernels(data).detach().set_requires_grad(true), wide = leaf(data.to(at::kDouble));
  const at::Tensor along = at::randn(data.sizes()).to(dtype).to(at::kDouble);
  const at::Tensor y = rotate(x, table), exact = turned(wide, exact_table);
  CAPTURE(head_dim);
  CHECK(beyond_rounding(y, exact) < 1e-6);
  const at::Tensor dx = torch::autograd::grad({(y.to(at::kDouble) * kernels(along)).sum()}, {x})[0];
  CHECK(beyond_rounding(dx, torch::autograd::grad({(exact * along).sum()}, {wide})[0]) < 1e-6);
}

}  // namespace

TEST_CASE("activations and their gradients are the formula's to one rounding, with and without a gate") {
  at::manual_seed(1);
  for (const at::ScalarType dtype : kNarrowAndWide) {
    for (const Activation activation : {Activation::silu, Activation::relu2}) {
      for (const std::int64_t size : {1, 37, 64}) {
        const at::Tensor gate = (at::randn({3, size}) * 3).to(dtype);
        compare_activation(activation, dtype, gate, at::randn({3, size}).to(dtype));
        compare_activation(activation, dtype, gate, {});
        compare_activation(activation, dtype, unaligned_randn({3, size}, dtype), unaligned_randn({3, size}, dtype));
      }
    }
  }
}

TEST_CASE("silu and its slope hold over float32's whole range") {
  const KernelsOn kernels;
  const at::Tensor x = at::tensor({-3e38, -1e4, -100.0, -88.0, -20.0, 0.0, 20.0, 88.0, 1e4, 1e18}).to(at::kFloat);
  at::Tensor gate = leaf(kernels(x)), wide = leaf(x.to(at::kDouble));
  const at::Tensor y = mlp_activation(Activation::silu, gate, {});
  CHECK(y.isfinite().all().item<bool>());
  const at::Tensor exact = wide * at::sigmoid(wide);
  CHECK(at::allclose(y.to(at::kCPU, at::kDouble), exact, 5e-7, 1e-30));
  const auto slope = torch::autograd::grad({y.sum()}, {gate})[0].to(at::kCPU, at::kDouble);
  CHECK(at::allclose(slope, torch::autograd::grad({exact.sum()}, {wide})[0], 1e-6, 1e-30));
}

TEST_CASE("rotation and its inverse, for whole and partial heads, any strides and odd widths") {
  at::manual_seed(2);
  for (const at::ScalarType dtype : kNarrowAndWide) {
    compare_rotation(dtype, 64, 1.0, false);
    compare_rotation(dtype, 64, 0.5, true);
    compare_rotation(dtype, 6, 1.0, true);
    compare_rotation(dtype, 10, 0.4, false);
    compare_rotation(dtype, 2, 1.0, true);
  }
}
