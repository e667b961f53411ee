// SPDX-License-Identifier: Apache-2.0
// What holds for every loss between softened distributions.
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/plugins/losses/softened_losses.hpp"

using espalier::by_autograd;
using espalier::by_differences;
using espalier::closed_form;
using espalier::distance;
using espalier::kNoLabels;
using espalier::LossAndGradient;
using espalier::softened_kinds;
using espalier::SoftenedKind;
using espalier::wavy_logits;

TEST_CASE("closed form, autograd, finite differences and another formula agree in float64") {
  for (const SoftenedKind& kind : softened_kinds()) {
    CAPTURE(kind.name);
    for (const double temperature : {0.5, 1.0, 3.0}) {
      CAPTURE(temperature);
      const at::Tensor teacher = wavy_logits(4, 7, 0.0, at::kDouble), student = wavy_logits(4, 7, 1.0, at::kDouble);
      const auto loss = kind.at(temperature, true);
      const LossAndGradient closed = closed_form(*loss, {student, teacher, kNoLabels}),
                            automatic = by_autograd(*loss, {student, teacher, kNoLabels});
      CHECK(distance(closed.loss, automatic.loss) < 1e-13);
      CHECK(distance(closed.gradient, automatic.gradient) < 1e-13);
      CHECK(distance(closed.gradient, by_differences(*loss, {student, teacher, kNoLabels})) < 1e-8);
      const at::Tensor p = at::softmax(teacher / temperature, -1), q = at::softmax(student / temperature, -1);
      CHECK(distance(closed.loss, kind.formula(p, q) * temperature * temperature) < 1e-12);
    }
  }
}

TEST_CASE("the numbers of the published formulas, worked out for one row") {
  const at::Tensor teacher = at::tensor({2.0f, 1.0f, 0.0f, -1.0f}).view({1, 4}),
                   student = at::tensor({1.0f, 1.0f, 1.0f, 0.0f}).view({1, 4});
  const struct {
    const char* name;
    double temperature, value;
    std::vector<float> gradient;
  } oracles[] = {{"kl", 1.0, 0.298805, {-0.346992f, 0.060040f, 0.209778f, 0.077173f}},
                 {"kl", 2.0, 0.088464, {-0.088890f, 0.000635f, 0.054935f, 0.033320f}},
                 {"reverse_kl", 1.0, 0.335138, {-0.329356f, -0.032433f, 0.264489f, 0.097300f}},
                 {"reverse_kl", 2.0, 0.088680, {-0.080976f, -0.011658f, 0.057661f, 0.034973f}},
                 {"cosine", 1.0, 0.200837, {-0.270347f, 0.061666f, 0.183806f, 0.024875f}},
                 {"mse", 1.0, 0.043493, {-0.049364f, 0.011064f, 0.033294f, 0.005006f}}};
  for (const auto& oracle : oracles) {
    CAPTURE(oracle.name);
    for (const SoftenedKind& kind : softened_kinds()) {
      if (kind.name != oracle.name) continue;
      const auto loss = kind.at(oracle.temperature);
      const LossAndGradient got = closed_form(*loss, {student, teacher, kNoLabels});
      CHECK(got.loss.item<double>() == doctest::Approx(oracle.value).epsilon(6e-6));
      CHECK(distance(got.gradient, at::tensor(oracle.gradient).view({1, 4})) < 1e-6);
    }
  }
}

TEST_CASE("identical logits have no loss and no gradient, and every gradient sums to nothing") {
  const at::Tensor same = wavy_logits(5, 257, 0.3);
  for (const SoftenedKind& kind : softened_kinds()) {
    CAPTURE(kind.name);
    for (const double temperature : {1.0, 2.0}) {
      const auto loss = kind.at(temperature);
      const LossAndGradient none = closed_form(*loss, {same, same, kNoLabels});
      CHECK(none.loss.abs().max().item<float>() == 0.0f);
      CHECK(none.gradient.abs().max().item<float>() < 1e-8f);
      const LossAndGradient some = closed_form(*loss, {wavy_logits(5, 257, 0.9), same, kNoLabels});
      CHECK(some.gradient.sum(-1).abs().max().item<float>() < 1e-6f);
      CHECK(some.loss.min().item<float>() > 0.0f);
    }
  }
}

TEST_CASE("a student that is nearly there: float32 is right to less than a millionth") {
  const at::Tensor teacher = wavy_logits(3, 40, 0.0, at::kDouble),
                   student = teacher + wavy_logits(3, 40, 2.0, at::kDouble) * 1e-3;
  const at::Tensor rounded = student.to(at::kFloat), reference = teacher.to(at::kFloat);
  for (const SoftenedKind& kind : softened_kinds()) {
    CAPTURE(kind.name);
    const auto loss = kind.at(1.0);
    const LossAndGradient exact = closed_form(*loss, {rounded.to(at::kDouble), reference.to(at::kDouble), kNoLabels}),
                          got = closed_form(*loss, {rounded, reference, kNoLabels});
    CHECK(distance(got.loss.to(at::kDouble), exact.loss) < 5e-7);
    const double largest = exact.gradient.abs().max().item<double>();
    CHECK(distance(got.gradient.to(at::kDouble), exact.gradient) < 1e-3 * largest);
  }
}

TEST_CASE("many blocks of rows give what one row at a time gives, and the gradient is added") {
  const at::Tensor teacher = wavy_logits(300, 1000, 0.0), student = wavy_logits(300, 1000, 1.0);
  for (const SoftenedKind& kind : softened_kinds()) {
    CAPTURE(kind.name);
    const auto loss = kind.at(2.0, true);
    const LossAndGradient all = closed_form(*loss, {student, teacher, kNoLabels}, 0.25);
    for (const std::int64_t row : {0, 31, 32, 33, 299}) {
      const at::Tensor one = student.narrow(0, row, 1), other = teacher.narrow(0, row, 1);
      const LossAndGradient single = closed_form(*loss, {one, other, kNoLabels}, 0.25);
      CHECK(at::equal(single.loss[0], all.loss[row]));
      CHECK(at::equal(single.gradient[0], all.gradient[row]));
    }
    at::Tensor losses = at::empty({300}), twice = all.gradient.clone();
    loss->gradient({student, teacher, kNoLabels}, 0.25, losses, twice);
    CHECK(distance(twice, all.gradient * 2) < 1e-7);
  }
}

TEST_CASE("extreme logits and columns that both sides mask stay finite at every temperature") {
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor teacher = at::tensor({1e4f, -1e4f, 0.0f, -inf, 80.0f, 80.0f, -3e38f, -inf}).view({2, 4});
  const at::Tensor student = at::tensor({-1e4f, 1e4f, 0.0f, -inf, -90.0f, 3e38f, 3e38f, -inf}).view({2, 4});
  for (const SoftenedKind& kind : softened_kinds()) {
    CAPTURE(kind.name);
    for (const double temperature : {0.01, 1.0, 10.0}) {
      CAPTURE(temperature);
      const auto loss = kind.at(temperature);
      for (const LossAndGradient& got :
           {closed_form(*loss, {student, teacher, kNoLabels}), by_autograd(*loss, {student, teacher, kNoLabels})}) {
        CHECK(at::isfinite(got.gradient).all().item<bool>());
        CHECK(got.gradient.select(1, 3).abs().max().item<float>() == 0.0f);
        CHECK(at::isfinite(got.loss).all().item<bool>());
        CHECK(got.loss.min().item<float>() >= 0.0f);
      }
    }
  }
}

TEST_CASE("columns that both sides mask change nothing") {
  const at::Tensor teacher = wavy_logits(3, 6, 0.0, at::kDouble), student = wavy_logits(3, 6, 1.0, at::kDouble);
  const at::Tensor mask = at::full({3, 2}, -std::numeric_limits<double>::infinity(), at::kDouble);
  const at::Tensor wide_teacher = at::cat({teacher, mask}, 1), wide_student = at::cat({student, mask}, 1);
  for (const SoftenedKind& kind : softened_kinds()) {
    CAPTURE(kind.name);
    const auto loss = kind.at(1.5);
    const double share = kind.name == "mse" ? 6.0 / 8.0 : 1.0;  // it is a mean over all columns
    const LossAndGradient plain = closed_form(*loss, {student, teacher, kNoLabels}),
                          wide = closed_form(*loss, {wide_student, wide_teacher, kNoLabels});
    CHECK(distance(wide.loss, plain.loss * share) < 1e-14);
    CHECK(distance(wide.gradient.narrow(1, 0, 6), plain.gradient * share) < 1e-14);
  }
}

TEST_CASE("the temperature is squared by default, which at temperature 1 changes nothing") {
  const at::Tensor teacher = wavy_logits(3, 9, 0.0), student = wavy_logits(3, 9, 1.0);
  for (const SoftenedKind& kind : softened_kinds()) {
    CAPTURE(kind.name);
    CHECK(at::equal(closed_form(*kind.make(kind.options), {student, teacher, kNoLabels}).gradient,
                    closed_form(*kind.at(1.0, false), {student, teacher, kNoLabels}).gradient));
    const auto plain = kind.at(2.0, false), squared = kind.at(2.0, true);
    CHECK(at::equal(closed_form(*squared, {student, teacher, kNoLabels}).loss,
                    closed_form(*plain, {student, teacher, kNoLabels}).loss * 4));
  }
}

TEST_CASE("no rows are no work") {
  const at::Tensor none = at::zeros({0, 5});
  for (const SoftenedKind& kind : softened_kinds()) {
    CHECK(closed_form(*kind.at(1.0), {none, none, kNoLabels}).loss.numel() == 0);
  }
}

TEST_CASE("a temperature of zero is a problem of the recipe") {
  espalier::TestOptions options{{"temperature", {std::int64_t{0}}}};
  espalier::parse_options<espalier::plugins::KlLoss::Options>(options);
  REQUIRE(options.problems.size() == 1);
  CHECK(options.problems[0] == "temperature is out of range; got 0; expected a real above 0");
}
