// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/plugins/losses/softened_losses.hpp"

using espalier::closed_form;
using espalier::distance;
using espalier::jsd;
using espalier::kNoLabels;
using espalier::make;
using espalier::TestOptions;
using espalier::Value;
using espalier::wavy_logits;
using espalier::plugins::JsdLoss;
using espalier::plugins::KlLoss;
using espalier::plugins::ReverseKlLoss;
using espalier::plugins::TvdLoss;

TEST_CASE("jsd at 0 and 1 is forward and reverse KL, and goes there when divided by what vanishes") {
  const at::Tensor teacher = wavy_logits(4, 9, 0.0, at::kDouble), student = wavy_logits(4, 9, 1.0, at::kDouble);
  const auto forward = closed_form(make<KlLoss>(), {student, teacher, kNoLabels}),
             reverse = closed_form(make<ReverseKlLoss>(), {student, teacher, kNoLabels});
  const auto at = [&](double beta) { return closed_form(make<JsdLoss>(jsd(beta)), {student, teacher, kNoLabels}); };
  CHECK(at::equal(at(0.0).loss, forward.loss));
  CHECK(at::equal(at(0.0).gradient, forward.gradient));
  CHECK(at::equal(at(1.0).loss, reverse.loss));
  CHECK(at::equal(at(1.0).gradient, reverse.gradient));
  for (const double small : {1e-4, 1e-5}) {
    CHECK(distance(at(small).loss / small, forward.loss) < 200 * small);
    CHECK(distance(at(small).gradient / small, forward.gradient) < 200 * small);
    CHECK(distance(at(1.0 - small).loss / small, reverse.loss) < 200 * small);
    CHECK(distance(at(1.0 - small).gradient / small, reverse.gradient) < 200 * small);
  }
}

TEST_CASE("jsd at one half is symmetric and at most ln 2") {
  const at::Tensor a = wavy_logits(4, 9, 0.0, at::kDouble), b = wavy_logits(4, 9, 1.0, at::kDouble);
  const JsdLoss half = make<JsdLoss>();
  CHECK(distance(closed_form(half, {a, b, kNoLabels}).loss, closed_form(half, {b, a, kNoLabels}).loss) < 1e-15);
  const at::Tensor left = at::tensor({1e4f, 0.0f}).view({1, 2}), right = at::tensor({0.0f, 1e4f}).view({1, 2});
  CHECK(closed_form(half, {left, right, kNoLabels}).loss.item<double>() == doctest::Approx(std::log(2.0)));
  // And by hand: p = (3/4, 1/4), q = (1/4, 3/4), m = (1/2, 1/2).
  const at::Tensor p = at::tensor({std::log(3.0), 0.0}, at::kDouble).view({1, 2}),
                   q = at::tensor({0.0, std::log(3.0)}, at::kDouble).view({1, 2});
  CHECK(closed_form(half, {q, p, kNoLabels}).loss.item<double>() ==
        doctest::Approx(0.75 * std::log(1.5) + 0.25 * std::log(0.5)).epsilon(1e-12));
}

TEST_CASE("tvd is 1 for two that never agree, and the mass that would have to move otherwise") {
  const at::Tensor left = at::tensor({1e4f, 0.0f}).view({1, 2}), right = at::tensor({0.0f, 1e4f}).view({1, 2});
  CHECK(closed_form(make<TvdLoss>(), {left, right, kNoLabels}).loss.item<float>() == 1.0f);
  const at::Tensor p = at::tensor({std::log(3.0), 0.0}, at::kDouble).view({1, 2}), q = at::zeros({1, 2}, at::kDouble);
  const auto got = closed_form(make<TvdLoss>(), {q, p, kNoLabels});
  CHECK(got.loss.item<double>() == doctest::Approx(0.25));
  // dℓ/dq = ½ (−1, 1), mean 0 under q = (½, ½)
  CHECK(distance(got.gradient, at::tensor({-0.25, 0.25}, at::kDouble)) < 1e-15);
}

TEST_CASE("a beta out of range, or so near an end that nothing is left, is a problem of the recipe") {
  TestOptions above = jsd(1.5), close = jsd(1e-9);
  espalier::parse_options<JsdLoss::Options>(above);
  espalier::parse_options<JsdLoss::Options>(close);
  REQUIRE(above.problems.size() == 1);
  CHECK(above.problems[0] == "beta is out of range; got 1.5; expected a real from 0 to 1");
  REQUIRE(close.problems.size() == 1);
  CHECK(close.problems[0] == "beta is too near an end; got 1e-09; expected 0, 1, or a real from 1e-6 to 0.999999");
}
