// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/losses/cross_entropy.hpp"
#include "tests/plugins/losses/rows.hpp"
#include "tests/plugins/options.hpp"

using espalier::by_autograd;
using espalier::by_differences;
using espalier::closed_form;
using espalier::distance;
using espalier::LossAndGradient;
using espalier::make;
using espalier::plugins::CrossEntropyLoss;

namespace {

const at::Tensor kNoTeacher;

at::Tensor logits(std::int64_t rows, std::int64_t vocab, at::ScalarType dtype) {
  return (at::sin(at::arange(rows * vocab, at::kDouble) * 1.7) * 3).view({rows, vocab}).to(dtype);
}

at::Tensor labels(std::int64_t rows, std::int64_t vocab) { return (at::arange(rows, at::kLong) * 5).remainder(vocab); }

}  // namespace

TEST_CASE("cross entropy is ln(vocab) for flat logits, with gradient softmax minus onehot") {
  const LossAndGradient got =
      closed_form(make<CrossEntropyLoss>(), {at::zeros({1, 4}), kNoTeacher, at::tensor({2}, at::kLong)}, 2.0);
  CHECK(got.loss.item<float>() == doctest::Approx(std::log(4.0)));
  CHECK(distance(got.gradient, at::tensor({0.5f, 0.5f, -1.5f, 0.5f})) < 1e-6);
}

TEST_CASE("cross entropy's closed form, autograd and finite differences agree in float64") {
  const at::Tensor student = logits(6, 11, at::kDouble), next = labels(6, 11);
  const CrossEntropyLoss loss = make<CrossEntropyLoss>();
  const LossAndGradient closed = closed_form(loss, {student, kNoTeacher, next}),
                        automatic = by_autograd(loss, {student, kNoTeacher, next});
  CHECK(distance(closed.loss, automatic.loss) < 1e-13);
  CHECK(distance(closed.gradient, automatic.gradient) < 1e-13);
  CHECK(distance(closed.gradient, by_differences(loss, {student, kNoTeacher, next})) < 1e-8);
}

TEST_CASE("cross entropy is the formula in float64: minus the log of the label's share") {
  const at::Tensor student = logits(6, 11, at::kDouble), next = labels(6, 11);
  const at::Tensor share = student.exp() / student.exp().sum(-1, true);
  const LossAndGradient got = closed_form(make<CrossEntropyLoss>(), {student, kNoTeacher, next}, 0.5);
  CHECK(distance(got.loss, -share.gather(1, next.unsqueeze(1)).squeeze(1).log()) < 1e-13);
  CHECK(distance(got.gradient, 0.5 * (share - at::one_hot(next, 11))) < 1e-13);
}

TEST_CASE("blocks of rows do not change cross entropy") {
  const at::Tensor student = logits(500, 700, at::kFloat), next = labels(500, 700);
  const LossAndGradient all = closed_form(make<CrossEntropyLoss>(), {student, kNoTeacher, next});
  const at::Tensor one = student.narrow(0, 47, 1), label = next.narrow(0, 47, 1);
  CHECK(at::equal(closed_form(make<CrossEntropyLoss>(), {one, kNoTeacher, label}).gradient[0], all.gradient[47]));
  CHECK(distance(all.loss, by_autograd(make<CrossEntropyLoss>(), {student, kNoTeacher, next}).loss) < 1e-6);
}

TEST_CASE("a student that is sure has a finite loss and a gradient without noise") {
  const at::Tensor sure = at::tensor({60.0f, 0.0f, 0.0f, 1e30f, -1e30f, 0.0f}).view({2, 3}),
                   next = at::tensor({0, 1}, at::kLong);
  const LossAndGradient got = closed_form(make<CrossEntropyLoss>(), {sure, kNoTeacher, next});
  CHECK(got.loss[0].item<float>() == 0.0f);
  CHECK(std::abs(got.gradient[0].sum().item<float>()) < 1e-6f);
  CHECK(at::isfinite(got.loss).all().item<bool>());
  CHECK(at::isfinite(got.gradient).all().item<bool>());
  CHECK(got.gradient[1][1].item<float>() == -1.0f);
}
