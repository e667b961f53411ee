// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/plugins/losses/softened_losses.hpp"

using espalier::by_autograd;
using espalier::closed_form;
using espalier::distance;
using espalier::kNoLabels;
using espalier::LossAndGradient;
using espalier::make;
using espalier::TestOptions;
using espalier::text;
using espalier::topk;
using espalier::Value;
using espalier::wavy_logits;
using espalier::plugins::KlLoss;
using espalier::plugins::TopkKlLoss;

TEST_CASE("topk_kl with k of the vocabulary or more is kl, with either tail") {
  const at::Tensor teacher = wavy_logits(6, 11, 0.0, at::kDouble), student = wavy_logits(6, 11, 1.0, at::kDouble);
  const LossAndGradient kl = closed_form(make<KlLoss>(), {student, teacher, kNoLabels});
  for (const char* tail : {"drop", "bucket"}) {
    CAPTURE(tail);
    for (const std::int64_t k : {11, 5000}) {
      const TopkKlLoss loss = make<TopkKlLoss>(topk(k, tail));
      for (const LossAndGradient& got :
           {closed_form(loss, {student, teacher, kNoLabels}), by_autograd(loss, {student, teacher, kNoLabels})}) {
        CHECK(distance(got.loss, kl.loss) < 1e-14);
        CHECK(distance(got.gradient, kl.gradient) < 1e-15);
      }
    }
  }
}

TEST_CASE("topk_kl by hand: two of four columns, the rest dropped or as one class") {
  // p = (4, 3, 2, 1)/10, q = (1, 2, 3, 4)/10
  const at::Tensor teacher = at::tensor({4.0, 3.0, 2.0, 1.0}, at::kDouble).log().view({1, 4}),
                   student = at::tensor({1.0, 2.0, 3.0, 4.0}, at::kDouble).log().view({1, 4});
  const LossAndGradient drop = closed_form(make<TopkKlLoss>(topk(2, "drop")), {student, teacher, kNoLabels}),
                        bucket = closed_form(make<TopkKlLoss>(topk(2, "bucket")), {student, teacher, kNoLabels});
  const double p = 4.0 / 7.0, q = 1.0 / 3.0;
  CHECK(drop.loss.item<double>() == doctest::Approx(p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q))));
  CHECK(distance(drop.gradient, at::tensor({q - p, p - q, 0.0, 0.0}, at::kDouble)) < 1e-15);
  CHECK(bucket.loss.item<double>() ==
        doctest::Approx(0.4 * std::log(4.0) + 0.3 * std::log(1.5) + 0.3 * std::log(0.3 / 0.7)));
  // In the rest q (1 − P/Q) = q (1 − 3/7).
  CHECK(distance(bucket.gradient, at::tensor({-0.3, -0.1, 0.3 * 4 / 7, 0.4 * 4 / 7}, at::kDouble)) < 1e-15);
}

TEST_CASE("with a bucket the loss is never negative, never above kl, and grows with k") {
  const at::Tensor teacher = wavy_logits(50, 40, 0.0, at::kDouble), student = wavy_logits(50, 40, 0.7, at::kDouble);
  at::Tensor before = at::zeros({50}, at::kDouble);
  for (const std::int64_t k : {1, 2, 5, 20, 39, 40}) {
    const at::Tensor now = closed_form(make<TopkKlLoss>(topk(k, "bucket")), {student, teacher, kNoLabels}).loss;
    CHECK((now - before).min().item<double>() > -1e-14);
    before = now;
  }
  const at::Tensor kl = closed_form(make<KlLoss>(), {student, teacher, kNoLabels}).loss;
  CHECK((kl - before).min().item<double>() > -1e-13);
}

TEST_CASE("only a bucket sees that the student wastes mass outside the k") {
  const at::Tensor teacher = at::tensor({8.0f, 7.0f, 0.0f, 0.0f}).view({1, 4}),
                   wasteful = at::tensor({8.0f, 7.0f, 9.0f, 9.0f}).view({1, 4});
  const auto loss = [&](const char* tail) {
    return closed_form(make<TopkKlLoss>(topk(2, tail)), {wasteful, teacher, kNoLabels}).loss.item<double>();
  };
  CHECK(loss("drop") == doctest::Approx(0.0));
  CHECK(loss("bucket") > 1.0);
}

TEST_CASE("a rest that has almost no mass keeps its own digits") {
  const at::Tensor teacher = at::tensor({40.0f, 0.0f, -1.0f}).view({1, 3}),
                   student = at::tensor({40.0f, -100.0f, -101.0f}).view({1, 3});
  const TopkKlLoss loss = make<TopkKlLoss>(topk(1, "bucket"));
  const LossAndGradient got = closed_form(loss, {student, teacher, kNoLabels}),
                        exact = closed_form(loss, {student.to(at::kDouble), teacher.to(at::kDouble), kNoLabels});
  CHECK(exact.loss.item<double>() > 0.0);
  CHECK(got.loss.item<double>() == doctest::Approx(exact.loss.item<double>()).epsilon(0.02));
  CHECK(at::isfinite(got.gradient).all().item<bool>());
}

TEST_CASE("a k of zero and an unknown tail are problems of the recipe") {
  TestOptions bad = topk(0, "zero");
  espalier::parse_options<TopkKlLoss::Options>(bad);
  REQUIRE(bad.problems.size() == 2);
  CHECK(bad.problems[0] == "k is out of range; got 0; expected an integer of at least 1");
  CHECK(bad.problems[1] == "tail is not a known choice; got \"zero\"; expected \"drop\" or \"bucket\"");
}
