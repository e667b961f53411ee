// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/losses/kl.hpp"
#include "tests/plugins/losses/rows.hpp"
#include "tests/plugins/options.hpp"

using espalier::by_autograd;
using espalier::by_differences;
using espalier::closed_form;
using espalier::distance;
using espalier::LogitRows;
using espalier::LossAndGradient;
using espalier::make;
using espalier::Value;
using espalier::plugins::KlLoss;

namespace {

const at::Tensor kNoLabels;

KlLoss kl_of(double temperature, bool t_squared) {
  return make<KlLoss>({{"temperature", Value{temperature}}, {"t_squared", Value{t_squared}}});
}

at::Tensor logits(std::int64_t rows, std::int64_t vocab, double phase, at::ScalarType dtype = at::kFloat) {
  return (at::sin(at::arange(rows * vocab, at::kDouble) * 1.7 + phase) * 3).view({rows, vocab}).to(dtype);
}

}  // namespace

TEST_CASE("forward KL gives the value and the gradient of the oracle at temperatures 1 and 2") {
  const at::Tensor teacher = at::tensor({2.0f, 1.0f, 0.0f, -1.0f}).view({1, 4}),
                   student = at::tensor({1.0f, 1.0f, 1.0f, 0.0f}).view({1, 4});
  const struct {
    double temperature, value;
    std::vector<float> gradient;
  } oracles[] = {{1.0, 0.298805, {-0.346992f, 0.060040f, 0.209778f, 0.077173f}},
                 {2.0, 0.088464, {-0.088890f, 0.000635f, 0.054935f, 0.033320f}}};
  for (const auto& oracle : oracles) {
    const at::Tensor expected = at::tensor(oracle.gradient).view({1, 4});
    const KlLoss plain = kl_of(oracle.temperature, false), scaled = kl_of(oracle.temperature, true);
    const double square = oracle.temperature * oracle.temperature;
    for (const LossAndGradient& got :
         {closed_form(plain, {student, teacher, kNoLabels}), by_autograd(plain, {student, teacher, kNoLabels})}) {
      CHECK(got.loss.item<double>() == doctest::Approx(oracle.value).epsilon(2e-6));
      CHECK(distance(got.gradient, expected) < 1e-6);
    }
    for (const LossAndGradient& got :
         {closed_form(scaled, {student, teacher, kNoLabels}), by_autograd(scaled, {student, teacher, kNoLabels})}) {
      CHECK(got.loss.item<double>() == doctest::Approx(oracle.value * square).epsilon(2e-6));
      CHECK(distance(got.gradient, expected * square) < 4e-6);
    }
  }
}

TEST_CASE("the temperature is squared by default, which at temperature 1 changes nothing") {
  CHECK(std::get<bool>(espalier::option_fields<KlLoss::Options>()[1].fallback.data));
  const at::Tensor teacher = logits(3, 9, 0.0), student = logits(3, 9, 1.0);
  CHECK(at::equal(closed_form(make<KlLoss>(), {student, teacher, kNoLabels}).gradient,
                  closed_form(kl_of(1.0, false), {student, teacher, kNoLabels}).gradient));
}

TEST_CASE("closed form, autograd and finite differences agree in float64") {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    const at::Tensor teacher = logits(4, 7, 0.0, at::kDouble), student = logits(4, 7, 1.0, at::kDouble);
    const KlLoss loss = kl_of(temperature, true);
    const LossAndGradient closed = closed_form(loss, {student, teacher, kNoLabels}),
                          automatic = by_autograd(loss, {student, teacher, kNoLabels});
    CHECK(distance(closed.loss, automatic.loss) < 1e-13);
    CHECK(distance(closed.gradient, automatic.gradient) < 1e-13);
    CHECK(distance(closed.gradient, by_differences(loss, {student, teacher, kNoLabels})) < 1e-8);
  }
}

TEST_CASE("identical logits have no loss and no gradient, and every gradient sums to nothing") {
  const at::Tensor same = logits(5, 257, 0.3);
  const LossAndGradient none = closed_form(make<KlLoss>(), {same, same, kNoLabels});
  CHECK(none.loss.abs().max().item<float>() == 0.0f);
  CHECK(none.gradient.abs().max().item<float>() == 0.0f);
  const LossAndGradient some = closed_form(make<KlLoss>(), {logits(5, 257, 0.9), same, kNoLabels});
  CHECK(some.gradient.sum(-1).abs().max().item<float>() < 1e-6f);
  CHECK(some.loss.min().item<float>() > 0.0f);
}

TEST_CASE("many blocks of rows give what one row at a time gives, and the gradient is added") {
  const at::Tensor teacher = logits(300, 1000, 0.0), student = logits(300, 1000, 1.0);
  const KlLoss loss = kl_of(2.0, true);
  const LossAndGradient all = closed_form(loss, {student, teacher, kNoLabels}, 0.25);
  for (const std::int64_t row : {0, 31, 32, 33, 299}) {
    const at::Tensor one = student.narrow(0, row, 1), other = teacher.narrow(0, row, 1);
    const LossAndGradient single = closed_form(loss, {one, other, kNoLabels}, 0.25);
    CHECK(at::equal(single.loss[0], all.loss[row]));
    CHECK(at::equal(single.gradient[0], all.gradient[row]));
  }
  at::Tensor losses = at::empty({300}), twice = all.gradient.clone();
  loss.gradient({student, teacher, kNoLabels}, 0.25, losses, twice);
  CHECK(distance(twice, all.gradient * 2) < 1e-7);
}

TEST_CASE("extreme logits and masked columns stay finite") {
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor teacher = at::tensor({1e4f, -1e4f, 0.0f, -inf, 80.0f, 80.0f, -3e38f, -inf}).view({2, 4});
  const at::Tensor student = at::tensor({-1e4f, 1e4f, 0.0f, -inf, -90.0f, 3e38f, 3e38f, -inf}).view({2, 4});
  for (const LossAndGradient& got : {closed_form(make<KlLoss>(), {student, teacher, kNoLabels}),
                                     by_autograd(make<KlLoss>(), {student, teacher, kNoLabels})}) {
    CHECK(at::isfinite(got.gradient).all().item<bool>());
    CHECK(got.gradient.select(1, 3).abs().max().item<float>() == 0.0f);
    CHECK(got.loss[0].item<float>() == doctest::Approx(2e4));
    CHECK_FALSE(at::isnan(got.loss).any().item<bool>());
  }
}

TEST_CASE("no rows are no work") {
  const at::Tensor none = at::zeros({0, 5});
  CHECK(closed_form(make<KlLoss>(), {none, none, kNoLabels}).loss.numel() == 0);
}

TEST_CASE("a temperature of zero is a problem of the recipe") {
  espalier::TestOptions options{{"temperature", {std::int64_t{0}}}};
  espalier::parse_options<KlLoss::Options>(options);
  REQUIRE(options.problems.size() == 1);
  CHECK(options.problems[0] == "temperature is out of range; got 0; expected a real above 0");
}
