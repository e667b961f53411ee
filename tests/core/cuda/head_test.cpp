// SPDX-License-Identifier: Apache-2.0
// The distillation head with the loss kl, whole, against the formula in float64.
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/data/tokens.hpp"
#include "core/ops/operators.hpp"
#include "core/train/kd_head.hpp"
#include "plugins/losses/kl.hpp"
#include "test_device.hpp"
#include "tests/plugins/options.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

double relative(const at::Tensor& got, const at::Tensor& exact) {
  return ((got.to(at::kCPU, at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

}  // namespace

TEST_CASE("the head's loss and gradients with kernels are the formula's, over several chunks and masked rows") {
  offer_operators();
  const KernelsOn kernels;
  // On the CPU products of bfloat16 are rounded to it; a GPU keeps their float32.
  const at::ScalarType dtype = kernels.device().is_cuda() ? at::kBFloat16 : at::kFloat;
  at::manual_seed(1);
  const auto random = [&](at::IntArrayRef shape) { return (at::randn(shape) * 0.3).to(dtype); };
  const at::Tensor student = random({70, 32}), teacher = random({70, 48});
  const at::Tensor student_weight = random({264, 32}), teacher_weight = random({264, 48});
  at::Tensor labels = at::randint(264, {70}, at::kLong);
  labels.narrow(0, 5, 9).fill_(kIgnoredLabel);
  const double scale = 1.0 / 61;
  const float kBefore = 1.0F / 1024;  // what other chunks have left, as large as what is added

  TestOptions options;
  options.set("temperature", Value{2.0});
  std::vector<WeightedLoss> losses;
  losses.push_back({"kl", 0.5, std::make_unique<plugins::KlLoss>(parse_options<plugins::SoftenedOptions>(options))});
  at::Tensor weight_gradient = kernels(at::full({264, 32}, kBefore));
  const HeadOutput got = distillation_head({.student_hidden = kernels(student),
                                            .student_weight = kernels(student_weight),
                                            .teacher_hidden = kernels(teacher),
                                            .teacher_weight = kernels(teacher_weight),
                                            .teacher_kept = {},
                                            .labels = kernels(labels),
                                            .scale = scale,
                                            .chunk = 16},
                                           losses, weight_gradient);

  const at::Tensor hidden = student.to(at::kDouble).set_requires_grad(true);
  const at::Tensor weight = student_weight.to(at::kDouble).set_requires_grad(true);
  const at::Tensor log_q = at::log_softmax(hidden.matmul(weight.t()) / 2, -1);
  const at::Tensor log_p = at::log_softmax(teacher.to(at::kDouble).matmul(teacher_weight.to(at::kDouble).t()) / 2, -1);
  const at::Tensor rows = (log_p.exp() * (log_p - log_q)).sum(-1) * 4 * labels.ne(kIgnoredLabel);
  const at::Tensor loss = rows.sum() * scale;
  const auto exact = torch::autograd::grad({loss * 0.5}, {hidden, weight});
  CHECK(got.losses[0] == doctest::Approx(loss.item<double>()).epsilon(1e-5));
  // The gradient of the logits is rounded to the products' dtype.
  const double tolerance = dtype == at::kFloat ? 2e-6 : 6e-3;
  CHECK(relative(got.hidden_gradient, exact[0]) < tolerance);
  CHECK(relative(weight_gradient - kBefore, exact[1]) < tolerance * 4);
}
