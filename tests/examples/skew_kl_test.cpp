// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/examples/loaded.hpp"
#include "tests/plugins/losses/rows.hpp"

using espalier::by_autograd;
using espalier::by_differences;
using espalier::closed_form;
using espalier::distance;
using espalier::LossAndGradient;
using espalier::Value;
using espalier::testing::Loaded;

namespace {

const at::Tensor kNoLabels;

auto skew_kl(double alpha) { return Loaded::example("skew_kl").loss("skew_kl", {{"alpha", Value{alpha}}}); }

at::Tensor logits(double phase, at::ScalarType dtype = at::kDouble) {
  return (at::sin(at::arange(28, at::kDouble) * 1.7 + phase) * 3).view({4, 7}).to(dtype);
}

}  // namespace

TEST_CASE("skew KL by hand: p = (3/4, 1/4), q = (1/4, 3/4), alpha 1/2") {
  const at::Tensor teacher = at::tensor({std::log(3.0), 0.0}, at::kDouble).view({1, 2}),
                   student = at::tensor({0.0, std::log(3.0)}, at::kDouble).view({1, 2});
  // m = (1/2, 1/2), so the loss is log 2 less the entropy of p. r = 1/2 p q / m = (3/16, 3/16); q Σr - r = ∓3/32.
  const double expected = 0.75 * std::log(0.75 / 0.5) + 0.25 * std::log(0.25 / 0.5);
  const at::Tensor gradient = at::tensor({-3.0 / 32, 3.0 / 32}, at::kDouble).view({1, 2});
  const auto loss = skew_kl(0.5);
  for (const LossAndGradient& got :
       {closed_form(*loss, {student, teacher, kNoLabels}), by_autograd(*loss, {student, teacher, kNoLabels})}) {
    CHECK(got.loss.item<double>() == doctest::Approx(expected).epsilon(1e-12));
    CHECK(distance(got.gradient, gradient) < 1e-14);
  }
}

TEST_CASE("closed form, autograd and finite differences agree in float64") {
  for (const double alpha : {0.0, 0.1, 0.5, 0.99}) {
    const at::Tensor teacher = logits(0.0), student = logits(1.0);
    const auto loss = skew_kl(alpha);
    const LossAndGradient closed = closed_form(*loss, {student, teacher, kNoLabels}),
                          automatic = by_autograd(*loss, {student, teacher, kNoLabels});
    CHECK(distance(closed.loss, automatic.loss) < 1e-13);
    CHECK(distance(closed.gradient, automatic.gradient) < 1e-13);
    CHECK(distance(closed.gradient, by_differences(*loss, {student, teacher, kNoLabels})) < 1e-8);
    CHECK(closed.gradient.sum(-1).abs().max().item<double>() < 1e-13);
  }
}

TEST_CASE("alpha 0 is forward KL, and no row costs more than log 1/alpha") {
  const at::Tensor teacher = logits(0.0), student = logits(1.0) * 100;
  const at::Tensor p = at::log_softmax(teacher, -1), q = at::log_softmax(student, -1);
  const LossAndGradient plain = closed_form(*skew_kl(0.0), {student, teacher, kNoLabels});
  CHECK(distance(plain.loss, (p.exp() * (p - q)).sum(-1)) < 1e-12);
  CHECK(distance(plain.gradient, q.exp() - p.exp()) < 1e-14);
  CHECK(plain.loss.max().item<double>() > 100.0);
  CHECK(closed_form(*skew_kl(0.1), {student, teacher, kNoLabels}).loss.max().item<double>() <= std::log(10.0));
}

TEST_CASE("the gradient is added, scaled") {
  const at::Tensor teacher = logits(0.0, at::kFloat), student = logits(1.0, at::kFloat);
  const auto loss = skew_kl(0.1);
  const LossAndGradient once = closed_form(*loss, {student, teacher, kNoLabels});
  at::Tensor losses = at::empty({4}), sum = at::ones({4, 7});
  CHECK(loss->gradient({student, teacher, kNoLabels}, 0.25, losses, sum));
  CHECK(distance(sum, 1 + once.gradient * 0.25) < 1e-7);
  CHECK(at::equal(losses, once.loss));
}

TEST_CASE("extreme logits and masked columns stay finite") {
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor teacher = at::tensor({1e4f, -1e4f, 0.0f, -inf}).view({1, 4});
  const at::Tensor student = at::tensor({-1e4f, 1e4f, 0.0f, -inf}).view({1, 4});
  for (const double alpha : {0.0, 0.1}) {
    const auto loss = skew_kl(alpha);
    for (const LossAndGradient& got :
         {closed_form(*loss, {student, teacher, kNoLabels}), by_autograd(*loss, {student, teacher, kNoLabels})}) {
      CHECK(at::isfinite(got.gradient).all().item<bool>());
      CHECK(got.gradient.select(1, 3).abs().max().item<float>() == 0.0f);
      CHECK(got.loss.item<float>() == doctest::Approx(alpha == 0.0 ? 2e4 : std::log(10.0)));
    }
  }
}
