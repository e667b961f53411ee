// SPDX-License-Identifier: Apache-2.0
// Metrics of a width beside their formulas, written out as loops over numbers in float64.
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/importance/fluctuation.hpp"
#include "plugins/importance/taylor.hpp"
#include "plugins/importance/wanda.hpp"
#include "tests/plugins/importance/observe.hpp"
#include "tests/plugins/options.hpp"

using espalier::axis_with;
using espalier::AxisInfo;
using espalier::Dim;
using espalier::Evidence;
using espalier::ImportanceMetric;
using espalier::list_of;
using espalier::make;
using espalier::site_of;
using espalier::Tap;
using espalier::TestOptions;
using espalier::text;
using espalier::plugins::FluctuationMetric;
using espalier::plugins::TaylorMetric;
using espalier::plugins::WandaMetric;

namespace {

// Made-up evidence: (samples, tokens, units, channels), its gradient, and (units, channels, outputs).
struct Evident {
  at::Tensor input, gradient, readers;
  std::int64_t samples() const { return input.size(0); }
  std::int64_t tokens() const { return input.size(1); }
  std::int64_t units() const { return input.size(2); }
  std::int64_t channels() const { return input.size(3); }
  std::int64_t outputs() const { return readers.size(2); }
  double x(std::int64_t n, std::int64_t t, std::int64_t u, std::int64_t c) const {
    return input[n][t][u][c].to(at::kDouble).item<double>();
  }
  double g(std::int64_t n, std::int64_t t, std::int64_t u, std::int64_t c) const {
    return gradient[n][t][u][c].to(at::kDouble).item<double>();
  }
  double w(std::int64_t u, std::int64_t c, std::int64_t o) const { return readers[u][c][o].item<double>(); }
};

Evident evident() {
  const at::Tensor numbers = at::arange(5 * 4 * 3 * 2, at::kFloat).view({5, 4, 3, 2});
  // A mean far from zero: a variance from E[x²] − E[x]² in float32 would show it.
  return {at::sin(numbers * 1.7f) + 30, at::cos(numbers * 0.9f) * 1e-3f,
          at::sin(at::arange(3 * 2 * 7, at::kFloat) * 2.3f).view({3, 2, 7})};
}

double taylor_of_sample(const Evident& e, std::int64_t n, std::int64_t u) {
  double sum = 0;
  for (std::int64_t t = 0; t < e.tokens(); ++t) {
    for (std::int64_t c = 0; c < e.channels(); ++c) sum += e.x(n, t, u, c) * e.g(n, t, u, c);
  }
  return sum;
}

double taylor(const Evident& e, std::int64_t u, const std::string& samples) {
  double absolute = 0, square = 0, sum = 0;
  for (std::int64_t n = 0; n < e.samples(); ++n) {
    const double s = taylor_of_sample(e, n, u);
    absolute += std::abs(s), square += s * s, sum += s;
  }
  const auto count = static_cast<double>(e.samples());
  if (samples == "abs") return absolute / count;
  return samples == "square" ? std::sqrt(square / count) : std::abs(sum / count);
}

double norm_of_channel(const Evident& e, std::int64_t u, std::int64_t c) {
  double sum = 0;
  for (std::int64_t n = 0; n < e.samples(); ++n) {
    for (std::int64_t t = 0; t < e.tokens(); ++t) sum += e.x(n, t, u, c) * e.x(n, t, u, c);
  }
  return std::sqrt(sum);
}

double variance_of_channel(const Evident& e, std::int64_t u, std::int64_t c) {
  const auto count = static_cast<double>(e.samples() * e.tokens());
  double mean = 0, sum = 0;
  for (const bool second : {false, true}) {
    for (std::int64_t n = 0; n < e.samples(); ++n) {
      for (std::int64_t t = 0; t < e.tokens(); ++t) {
        const double x = e.x(n, t, u, c);
        (second ? sum : mean) += second ? (x - mean) * (x - mean) : x / count;
      }
    }
  }
  return sum / (count - 1);
}

double wanda(const Evident& e, std::int64_t u, bool squared) {
  double sum = 0;
  for (std::int64_t c = 0; c < e.channels(); ++c) {
    for (std::int64_t o = 0; o < e.outputs(); ++o) {
      const double s = std::abs(e.w(u, c, o)) * norm_of_channel(e, u, c);
      sum += squared ? s * s : s;
    }
  }
  return squared ? std::sqrt(sum) : sum;
}

double fluctuation(const Evident& e, std::int64_t u, const std::string& kind) {
  double sum = 0;
  for (std::int64_t c = 0; c < e.channels(); ++c) {
    double absolute = 0, square = 0;
    for (std::int64_t o = 0; o < e.outputs(); ++o)
      absolute += std::abs(e.w(u, c, o)), square += e.w(u, c, o) * e.w(u, c, o);
    if (kind == "ifv") sum += variance_of_channel(e, u, c);
    if (kind == "wifv") sum += variance_of_channel(e, u, c) * square;
    if (kind == "wifn") sum += absolute / static_cast<double>(e.outputs()) * norm_of_channel(e, u, c);
  }
  return sum;
}

struct Case {
  std::string name;
  bool readers;
  std::function<std::unique_ptr<ImportanceMetric>()> make;
  std::function<double(const Evident&, std::int64_t unit)> formula;
};

template <class Metric>
Case case_of(const char* option, const char* value, bool readers,
             std::function<double(const Evident&, std::int64_t)> formula) {
  return {value, readers,
          [=] {
            TestOptions options{{option, text(value)}};
            return std::make_unique<Metric>(espalier::parse_options<typename Metric::Options>(options));
          },
          std::move(formula)};
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* samples : {"abs", "square", "signed"}) {
    all.push_back(case_of<TaylorMetric>("samples", samples, false,
                                        [=](const Evident& e, std::int64_t u) { return taylor(e, u, samples); }));
  }
  for (const char* reduce : {"sum", "l2"}) {
    all.push_back(case_of<WandaMetric>("reduce", reduce, true, [=](const Evident& e, std::int64_t u) {
      return wanda(e, u, std::string(reduce) == "l2");
    }));
  }
  for (const char* kind : {"ifv", "wifv", "wifn"}) {
    all.push_back(
        case_of<FluctuationMetric>("kind", kind, std::string(kind) != "ifv",
                                   [=](const Evident& e, std::int64_t u) { return fluctuation(e, u, kind); }));
  }
  return all;
}

std::unique_ptr<ImportanceMetric> begun(const Case& one, const Evident& e) {
  std::unique_ptr<ImportanceMetric> metric = one.make();
  metric->begin(site_of(e.units(), e.channels()));
  const at::Tensor none;
  if (one.readers) metric->observe({.layer = 0, .input = none, .output = none, .gradient = none, .readers = e.readers});
  return metric;
}

// Samples [first, first + count), in micro-batches of `size`.
void show(ImportanceMetric& metric, const Evident& e, std::int64_t first, std::int64_t count, std::int64_t size) {
  for (std::int64_t at = first; at < first + count; at += size) {
    const std::int64_t n = std::min(size, first + count - at);
    const at::Tensor input = e.input.narrow(0, at, n), gradient = e.gradient.narrow(0, at, n);
    metric.observe({.layer = 0, .input = input, .output = {}, .gradient = gradient, .readers = {}});
  }
}

void check_formula(const Case& one, const Evident& e, const at::Tensor& scores) {
  const std::vector<float> got = list_of(scores);
  REQUIRE(got.size() == static_cast<std::size_t>(e.units()));
  // Products of two float32 numbers are rounded to float32 before they are summed: 1e-7 of the largest of them.
  for (std::int64_t u = 0; u < e.units(); ++u)
    CHECK(got[static_cast<std::size_t>(u)] == doctest::Approx(one.formula(e, u)).epsilon(2e-6));
}

}  // namespace

TEST_CASE("taylor, wanda and fluctuation follow their formulas, to the bit however the samples are cut") {
  const Evident e = evident();
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    at::Tensor whole;
    for (const std::int64_t size : {5, 1, 2, 3}) {
      const std::unique_ptr<ImportanceMetric> metric = begun(one, e);
      show(*metric, e, 0, 5, size);
      check_formula(one, e, metric->scores());
      if (!whole.defined()) whole = metric->scores();
      CHECK(at::equal(metric->scores(), whole));
    }
  }
}

TEST_CASE("halves merge into the formula of the whole, and a restored state goes on") {
  const Evident e = evident();
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    for (std::int64_t first = 0; first <= 5; ++first) {
      const auto head = begun(one, e), tail = begun(one, e), resumed = begun(one, e);
      show(*head, e, 0, first, 2), show(*tail, e, first, 5 - first, 2);
      resumed->restore(head->state());
      show(*resumed, e, first, 5 - first, 1);
      check_formula(one, e, resumed->scores());
      head->merge(tail->state());
      check_formula(one, e, head->scores());
    }
  }
}

TEST_CASE("nothing but zeros scores zero, and a single token is finite") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    Evident e = evident();
    e.input = at::zeros({1, 1, 3, 2}), e.gradient = at::zeros_like(e.input);
    const auto zero = begun(one, e);
    show(*zero, e, 0, 1, 1);
    CHECK(list_of(zero->scores()) == std::vector<float>{0, 0, 0});
    e.input = at::ones({1, 1, 3, 2}), e.gradient = at::ones({1, 1, 3, 2});
    const auto single = begun(one, e);
    show(*single, e, 0, 1, 1);
    CHECK(at::isfinite(single->scores()).all().item<bool>());
  }
}

TEST_CASE("bfloat16 evidence scores as the same numbers in float32") {
  const Evident e = evident();
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    Evident narrow = e, wide = e;
    narrow.input = e.input.to(at::kBFloat16), narrow.gradient = e.gradient.to(at::kBFloat16);
    wide.input = narrow.input.to(at::kFloat), wide.gradient = narrow.gradient.to(at::kFloat);
    const auto first = begun(one, narrow), second = begun(one, wide);
    show(*first, narrow, 0, 5, 5), show(*second, wide, 0, 5, 5);
    CHECK(at::equal(first->scores(), second->scores()));
  }
}

TEST_CASE("taylor of layers takes what a layer adds times the gradient of its output") {
  const at::Tensor x = at::tensor({1.0f, 2.0f, 3.0f, 4.0f}).view({2, 1, 2}),
                   y = at::tensor({2.0f, 4.0f, 3.0f, 1.0f}).view({2, 1, 2}),
                   gradient = at::tensor({3.0f, -1.0f, 5.0f, 2.0f}).view({2, 1, 2});
  // Sample 0: 1·3 + 2·(−1) = 1; sample 1: 0·5 + (−3)·2 = −6.
  for (const auto& [samples, expected] :
       {std::pair("abs", 3.5f), std::pair("square", 4.3011627f), std::pair("signed", 2.5f)}) {
    TaylorMetric metric = make<TaylorMetric>({{"samples", text(samples)}});
    metric.begin(site_of(2));
    metric.observe({.layer = 4, .unit = 1, .input = x, .output = y, .gradient = gradient, .readers = {}});
    CHECK_THROWS_WITH_AS(metric.scores(),
                         "metric 'taylor' has no scores; got a unit with 0 samples; expected at least 1",
                         espalier::Error);
    metric.observe({.layer = 2, .unit = 0, .input = x, .output = x, .gradient = gradient, .readers = {}});
    CHECK(list_of(metric.scores())[0] == 0.0f);
    CHECK(list_of(metric.scores())[1] == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("wanda and fluctuation look at the tap that matrices read, and say when there is none") {
  const AxisInfo ffn = axis_with({Dim::ffn}, {Tap::pre_activation, Tap::fc2_input}, "ffn"),
                 unread = axis_with({Dim::ffn}, {Tap::pre_activation, Tap::up_output}, "odd"),
                 layers = axis_with({Dim::layers}, {}, "layers");
  CHECK(make<WandaMetric>().needs(ffn).tap == Tap::fc2_input);
  CHECK(make<WandaMetric>().needs(ffn).readers);
  CHECK(make<FluctuationMetric>().needs(ffn).readers);
  CHECK_FALSE(make<FluctuationMetric>({{"kind", text("ifv")}}).needs(ffn).readers);
  CHECK_THROWS_WITH_AS(make<WandaMetric>().needs(unread),
                       "metric 'wanda' needs a tap that matrices read; got axis 'odd' with 'pre_activation' or "
                       "'up_output'; expected 'norm_output', 'fc2_input' or 'o_proj_input'",
                       espalier::RecipeError);
  CHECK_THROWS_WITH_AS(make<FluctuationMetric>().needs(layers),
                       "metric 'fluctuation' needs an axis whose units have activations; got axis 'layers'; expected "
                       "an axis of a width, such as 'hidden', 'ffn' or 'heads'",
                       espalier::RecipeError);
}

TEST_CASE("taylor asks for gradients at a tap of a width, and of layers without one") {
  const AxisInfo ffn = axis_with({Dim::ffn}, {Tap::fc2_input, Tap::pre_activation}, "ffn"),
                 layers = axis_with({Dim::layers}, {}, "layers");
  CHECK(make<TaylorMetric>().needs(ffn).evidence == Evidence::gradients);
  CHECK(make<TaylorMetric>().needs(ffn).tap == Tap::fc2_input);
  const TaylorMetric before = make<TaylorMetric>({{"tap", text("pre_activation")}});
  CHECK(before.needs(ffn).tap == Tap::pre_activation);
  CHECK(make<TaylorMetric>().needs(layers).evidence == Evidence::gradients);
  CHECK(make<TaylorMetric>().needs(layers).tap == Tap::none);
  CHECK_THROWS_WITH_AS(before.needs(layers),
                       "tap of metric 'taylor' belongs to an axis of a width; got 'pre_activation' with axis 'layers'; "
                       "expected none",
                       espalier::RecipeError);
}

TEST_CASE("scores of no samples are refused") {
  const Evident e = evident();
  for (const Case& one : cases()) CHECK_THROWS_AS(begun(one, e)->scores(), espalier::Error);
  WandaMetric metric = make<WandaMetric>();
  metric.begin(site_of(2, 3));
  CHECK_THROWS_WITH_AS(metric.merge({at::zeros({1})}),
                       "state of metric 'wanda' has the wrong shape; got [1]; expected [1] [6]", espalier::Error);
}
