// SPDX-License-Identifier: Apache-2.0
// The distillation head with the kernels, whole, against the formula in float64.
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/data/tokens.hpp"
#include "core/train/kd_head.hpp"
#include "core/train/micro_batch.hpp"
#include "plugins/losses/cross_entropy.hpp"
#include "plugins/losses/kl.hpp"
#include "test_device.hpp"
#include "tests/core/train/reference_losses.hpp"
#include "tests/plugins/options.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr std::int64_t kRows = 70, kVocab = 264, kStudent = 32, kTeacher = 48;

WeightedLoss kl(double weight, double temperature) {
  TestOptions options;
  options.set("temperature", Value{temperature});
  return {"kl", weight, std::make_unique<plugins::KlLoss>(parse_options<plugins::SoftenedOptions>(options))};
}
WeightedLoss cross_entropy(double weight) {
  return {"cross_entropy", weight, std::make_unique<plugins::CrossEntropyLoss>(NoOptions{})};
}
WeightedLoss plain_kl(double weight) { return {"plain", weight, std::make_unique<reference::Kl>(1.0)}; }

struct Inputs {
  at::Tensor student, teacher, student_weight, teacher_weight, labels;
  double scale = 1.0 / 61;
};

Inputs inputs(at::ScalarType dtype) {
  at::manual_seed(1);
  const auto random = [&](at::IntArrayRef shape) { return (at::randn(shape) * 0.3).to(dtype); };
  Inputs in{random({kRows, kStudent}), random({kRows, kTeacher}), random({kVocab, kStudent}),
            random({kVocab, kTeacher}), at::randint(kVocab, {kRows}, at::kLong)};
  in.labels.narrow(0, 5, 9).fill_(kIgnoredLabel);
  return in;
}

HeadInput placed(const Inputs& in, const KernelsOn& kernels) {
  return {.student_hidden = kernels(in.student),
          .student_weight = kernels(in.student_weight),
          .teacher_hidden = kernels(in.teacher),
          .teacher_weight = kernels(in.teacher_weight),
          .teacher_kept = {},
          .labels = kernels(in.labels),
          .kept = kernels(kept_rows(in.labels)),
          .scale = in.scale,
          .chunk = 16};
}

// What other chunks have left in the weight's gradient, as large as what is added.
constexpr float kBefore = 1.0F / 1024;

void compare_head(const std::vector<WeightedLoss>& losses) {
  const KernelsOn kernels;
  // On the CPU products of bfloat16 are rounded to it; a GPU keeps their float32.
  const at::ScalarType dtype = kernels.device().is_cuda() ? at::kBFloat16 : at::kFloat;
  const Inputs in = inputs(dtype);
  at::Tensor weight_gradient = kernels(at::full({kVocab, kStudent}, kBefore));
  const HeadOutput got = distillation_head(placed(in, kernels), losses, weight_gradient);

  const at::Tensor hidden = in.student.to(at::kDouble).set_requires_grad(true);
  const at::Tensor weight = in.student_weight.to(at::kDouble).set_requires_grad(true);
  const at::Tensor kept = kept_rows(in.labels), labels = in.labels.index_select(0, kept);
  const at::Tensor student = hidden.matmul(weight.t()).index_select(0, kept);
  const at::Tensor teacher =
      in.teacher.to(at::kDouble).matmul(in.teacher_weight.to(at::kDouble).t()).index_select(0, kept);
  at::Tensor total = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const at::Tensor value = losses[i].loss->forward({student, teacher, labels}).sum() * in.scale;
    CHECK(got.losses[static_cast<std::int64_t>(i)].item<double>() ==
          doctest::Approx(value.item<double>()).epsilon(1e-5));
    total = total + value * losses[i].weight;
  }
  const auto exact = torch::autograd::grad({total}, {hidden, weight});
  // The gradient of the logits is rounded to the products' dtype.
  const double tolerance = dtype == at::kFloat ? 2e-6 : 6e-3;
  CHECK(relative_norm(got.hidden_gradient, exact[0]) < tolerance);
  CHECK(relative_norm(weight_gradient - kBefore, exact[1]) < tolerance * 4);
}

template <class... Loss>
std::vector<WeightedLoss> list(Loss... loss) {
  std::vector<WeightedLoss> losses;
  (losses.push_back(std::move(loss)), ...);
  return losses;
}

}  // namespace

TEST_CASE("the head's losses and gradients with kernels are the formula's, over several chunks and masked rows") {
  SUBCASE("KL") { compare_head(list(kl(0.5, 2.0))); }
  SUBCASE("cross entropy") { compare_head(list(cross_entropy(2.0))); }
  SUBCASE("both, and KL twice") { compare_head(list(cross_entropy(0.25), kl(0.5, 2.0), kl(0.125, 2.0))); }
  SUBCASE("beside a loss that is not known to be a mix") {
    compare_head(list(plain_kl(0.5), kl(0.5, 2.0), cross_entropy(1.0)));
  }
  SUBCASE("KL at two temperatures: one pass for the first") { compare_head(list(kl(0.5, 2.0), kl(1.0, 0.5))); }
}

TEST_CASE("cross entropy alone asks for no teacher") {
  const KernelsOn kernels;
  const Inputs in = inputs(at::kFloat);
  HeadInput input = placed(in, kernels);
  input.teacher_hidden = input.teacher_weight = at::Tensor();
  at::Tensor weight_gradient = kernels(at::zeros({kVocab, kStudent}));
  const auto losses = list(cross_entropy(1.0));
  const double got = distillation_head(input, losses, weight_gradient).losses[0].item<double>();
  const at::Tensor kept = kept_rows(in.labels);
  const at::Tensor logits = in.student.to(at::kDouble).matmul(in.student_weight.to(at::kDouble).t());
  const at::Tensor exact =
      at::cross_entropy_loss(logits.index_select(0, kept), in.labels.index_select(0, kept), {}, at::Reduction::Sum);
  CHECK(got == doctest::Approx(exact.item<double>() * in.scale).epsilon(1e-5));
}

TEST_CASE("where all losses are fused, the logits' gradient is kept in the products' dtype") {
  const KernelsOn kernels;
  const Inputs in = inputs(at::kBFloat16);
  at::Tensor weight_gradient = kernels(at::zeros({kVocab, kStudent}));
  HeadWorkspace workspace;
  distillation_head(placed(in, kernels), list(kl(1.0, 1.0)), weight_gradient, &workspace);
  CHECK((workspace.gradient.scalar_type() == at::kBFloat16));
  distillation_head(placed(in, kernels), list(kl(0.5, 1.0), plain_kl(0.5)), weight_gradient, &workspace);
  CHECK((workspace.gradient.scalar_type() == at::kFloat));
}
