// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "core/ops/ops.hpp"
#include "gradcheck.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("affine is x·Wᵀ + b for any shape, stride and dtype") {
  at::manual_seed(1);
  for (const std::int64_t rows : {1, 3, 64, 200}) {
    const at::Tensor x = at::randn({2, rows, 24}), weight = at::randn({36, 24}), bias = at::randn({36});
    const at::Tensor exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble));
    CHECK(difference(affine(x, weight, bias), exact) < 2e-5);
    CHECK(difference(affine(x, weight), exact - bias) < 2e-5);
    CHECK(difference(affine(x.transpose(0, 1), weight, bias), exact.transpose(0, 1)) < 2e-5);
    CHECK(difference(affine(x, weight.t().contiguous().t(), bias), exact) < 2e-5);
    CHECK(difference(affine(x[0][0], weight, bias), exact[0][0]) < 2e-5);
    CHECK(difference(affine(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble)), exact) < 1e-12);
    CHECK(difference(product(x[0], weight.t()), exact[0] - bias) < 2e-5);
    at::Tensor out = at::full({rows, 36}, 7.0);
    product_into(out, x[0], weight.t(), false);
    CHECK(difference(out, exact[0] - bias) < 2e-5);
    product_into(out, x[0], weight.t(), true);
    CHECK(difference(out, 2 * (exact[0] - bias)) < 4e-5);
  }
  CHECK((affine(at::zeros({0, 5}), at::zeros({3, 5})).sizes() == at::IntArrayRef({0, 3})));
}

TEST_CASE("gradients of affine agree with those of plain operations") {
  const auto gradients = [](const auto& f) {
    at::manual_seed(2);
    const at::Tensor x = at::randn({2, 30, 20}).set_requires_grad(true);
    const at::Tensor weight = at::randn({12, 20}).set_requires_grad(true),
                     bias = at::randn({12}).set_requires_grad(true);
    const at::Tensor y = f(x, weight, bias).transpose(0, 1);
    return torch::autograd::grad({(y * at::randn(y.sizes())).sum()}, {x, weight, bias});
  };
  const auto ours = gradients([](const auto& x, const auto& w, const auto& b) { return affine(x, w, b); });
  const auto same = gradients([](const auto& x, const auto& w, const auto& b) { return at::matmul(x, w.t()) + b; });
  for (std::size_t i = 0; i < 3; ++i) CHECK(difference(ours[i], same[i]) < 3e-5);
}

TEST_CASE("only what is asked for is differentiated") {
  const at::Tensor x = at::randn({4, 5}), frozen = at::randn({3, 5}), weight = frozen.clone().set_requires_grad(true);
  CHECK_FALSE(affine(x, frozen).requires_grad());
  const at::Tensor y = affine(x, weight);
  y.sum().backward();
  CHECK_FALSE(x.grad().defined());
  CHECK(difference(weight.grad(), x.sum(0).expand({3, 5})) < 1e-5);
  const at::NoGradGuard no_grad;
  CHECK_FALSE(affine(x, weight).requires_grad());
}
