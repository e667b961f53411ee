// SPDX-License-Identifier: Apache-2.0
// Residual + norm, forward and backward, against the formula in float64.
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/ops/ops.hpp"
#include "test_device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr double kEps = 1e-5;

struct Case {
  bool centred, branch;
  at::ScalarType dtype;
  std::int64_t rows, width;
};

// sum, normed, and the gradients of x, branch (or undefined), weight, bias (or undefined)
using NormTensors = std::vector<at::Tensor>;

NormTensors differentiated(const at::Tensor& sum, const at::Tensor& normed, const NormTensors& leaves,
                           const at::Tensor& along, bool use_sum) {
  at::Tensor loss = (normed.to(at::kDouble) * along).sum();
  if (use_sum) loss = loss + (sum.to(at::kDouble) * along.flip({0})).sum();
  std::vector<at::Tensor> wanted;
  for (const at::Tensor& leaf : leaves) {
    if (leaf.defined()) wanted.push_back(leaf);
  }
  const auto gradients = torch::autograd::grad({loss}, wanted);
  NormTensors results{sum.detach(), normed.detach()};
  std::size_t next = 0;
  for (const at::Tensor& leaf : leaves) results.push_back(leaf.defined() ? gradients[next++] : at::Tensor());
  return results;
}

NormTensors leaves_of(const Case& c, const NormTensors& data, at::ScalarType dtype, at::Device device) {
  NormTensors leaves;
  for (const at::Tensor& x : data) {
    leaves.push_back(x.detach().to(device).to(dtype).clone().set_requires_grad(true));
  }
  if (!c.branch) leaves[1] = at::Tensor();
  if (!c.centred) leaves[3] = at::Tensor();
  return leaves;
}

NormTensors by_kernels(const Case& c, const NormTensors& data, const at::Tensor& along) {
  const KernelsOn kernels;
  const NormTensors leaf = leaves_of(c, data, c.dtype, kernels.device());
  NormedSum out;
  if (c.branch) {
    out = c.centred ? add_layer_norm_1p(leaf[0], leaf[1], leaf[2], leaf[3], kEps)
                    : add_rms_norm(leaf[0], leaf[1], leaf[2], kEps);
  } else {
    out = {leaf[0], c.centred ? layer_norm_1p(leaf[0], leaf[2], leaf[3], kEps) : rms_norm(leaf[0], leaf[2], kEps)};
  }
  return differentiated(out.sum, out.normed, leaf, along.to(kernels.device()), c.branch);
}

// In float64, of the sum as it is stored.
NormTensors by_formula(const Case& c, const NormTensors& data, const at::Tensor& along) {
  const NormTensors leaf = leaves_of(c, data, at::kDouble, at::kCPU);
  at::Tensor sum = leaf[0];
  if (c.branch) {
    const at::Tensor exact = leaf[0] + leaf[1];
    sum = exact + (exact.detach().to(at::kFloat).to(c.dtype).to(at::kDouble) - exact.detach());
  }
  const at::Tensor from_mean = c.centred ? sum - sum.mean(-1, true) : sum;
  const at::Tensor unit = from_mean * at::rsqrt(from_mean.square().mean(-1, true) + kEps);
  const at::Tensor normed = c.centred ? unit * (leaf[2] + 1) + leaf[3] : unit * leaf[2];
  return differentiated(sum, normed, leaf, along, c.branch);
}

void compare_norm(const Case& c) {
  at::manual_seed(c.rows * 1000 + c.width);
  const auto random = [&](at::IntArrayRef shape) { return at::randn(shape).to(c.dtype); };
  const NormTensors data{random({c.rows, c.width}), random({c.rows, c.width}), random({c.width}), random({c.width})};
  const at::Tensor along = at::randn({c.rows, c.width}).to(c.dtype).to(at::kDouble);
  const NormTensors got = by_kernels(c, data, along), exact = by_formula(c, data, along);
  CAPTURE(c.centred);
  CAPTURE(c.branch);
  CAPTURE(toString(c.dtype));
  CAPTURE(c.width);
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!got[i].defined()) continue;
    CAPTURE(i);
    CHECK(beyond_rounding(got[i], exact[i]) < 2e-6);
  }
}

}  // namespace

TEST_CASE("norms and their gradients, with and without a residual, are the formula's to one rounding") {
  for (const at::ScalarType dtype : kNarrowAndWide) {
    for (const bool centred : {false, true}) {
      for (const bool branch : {false, true}) {
        // Not narrower: of two channels the gradient is what is left of numbers that cancel.
        for (const std::int64_t width : {7, 64, 1000, 4104}) compare_norm({centred, branch, dtype, 5, width});
      }
    }
  }
}

TEST_CASE("sums over more rows than there are groups, and over one") {
  compare_norm({true, true, at::kFloat, 700, 24});
  compare_norm({false, false, at::kBFloat16, 600, 16});
  compare_norm({false, true, at::kFloat, 1, 40});
}

TEST_CASE("rows that begin anywhere, and leading dimensions") {
  const KernelsOn kernels;
  at::manual_seed(4);
  for (const at::ScalarType dtype : kNarrowAndWide) {
    const at::Tensor x = unaligned_randn({2, 3, 64}, dtype), weight = unaligned_randn({64}, dtype);
    const at::Tensor wide = x.to(at::kDouble);
    const at::Tensor exact = wide * at::rsqrt(wide.square().mean(-1, true) + kEps) * weight.to(at::kDouble);
    CHECK(beyond_rounding(rms_norm(kernels(x), kernels(weight), kEps), exact) < 2e-6);
  }
  CHECK((rms_norm(kernels(at::zeros({0, 8})), kernels(at::ones({8})), kEps).sizes() == at::IntArrayRef({0, 8})));
}

TEST_CASE("norms and their gradients stay finite for zero, tiny and huge rows") {
  const KernelsOn kernels;
  const at::Tensor x = at::tensor({0.0, 1e-30, 1e30, -3e38}).to(at::kFloat).unsqueeze(1).expand({4, 8}).contiguous();
  at::Tensor leaf = kernels(x).clone().set_requires_grad(true);
  const at::Tensor y = rms_norm(leaf, kernels(at::ones({8})), 1e-6);
  CHECK(y.isfinite().all().item<bool>());
  CHECK(torch::autograd::grad({y.sum()}, {leaf})[0].isfinite().all().item<bool>());
}

TEST_CASE("a sum whose norm nobody uses passes its gradient on, and the other way round") {
  const KernelsOn kernels;
  at::manual_seed(5);
  const auto leaf = [&](at::IntArrayRef shape) { return kernels(at::randn(shape)).set_requires_grad(true); };
  const at::Tensor x = leaf({3, 16}), branch = leaf({3, 16}), weight = leaf({16});
  const NormedSum out = add_rms_norm(x, branch, weight, kEps);
  const auto of_sum = torch::autograd::grad({out.sum.sum()}, {x, branch}, {}, true);
  CHECK(at::equal(of_sum[0], at::ones_like(x)));
  CHECK(at::equal(of_sum[1], at::ones_like(x)));
  const auto of_norm = torch::autograd::grad({out.normed.square().sum()}, {x, branch});
  const at::Tensor sum = (x + branch).detach().set_requires_grad(true);
  const auto alone = torch::autograd::grad({rms_norm(sum, weight, kEps).square().sum()}, {sum});
  CHECK(at::equal(of_norm[0], alone[0]));
  CHECK(at::equal(of_norm[0], of_norm[1]));
}

TEST_CASE("norms over kept channels and norms of mixed dtypes go the ordinary way") {
  at::manual_seed(6);
  const at::Tensor x = at::randn({3, 8}), weight = at::randn({8}), kept = at::arange(8).remainder(2).to(at::kFloat);
  const at::Tensor plain = add_rms_norm(x, x, weight, kEps, kept).normed;
  const at::Tensor mixed = rms_norm(x.to(at::kBFloat16), weight, kEps);
  const KernelsOn kernels;
  if (!kernels.device().is_cpu()) return;
  CHECK(at::equal(add_rms_norm(x, x, weight, kEps, kept).normed, plain));
  CHECK(at::equal(rms_norm(x.to(at::kBFloat16), weight, kEps), mixed));
}
