// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/importance/activation.hpp"
#include "tests/plugins/importance/observe.hpp"
#include "tests/plugins/options.hpp"

using espalier::list_of;
using espalier::make;
using espalier::observe_in_parts;
using espalier::site_of;
using espalier::TestOptions;
using espalier::text;
using espalier::plugins::ActivationMetric;

namespace {

struct Pair {
  const char *batch, *seq;
  float first, second;
};

// Computed by hand from a[0] = [[1,−2],[3,4]], a[1] = [[−1,0],[1,6]].
constexpr Pair kPairs[] = {
    {"mean", "mean", 1.5f, 3.0f},         {"mean", "l2", 2.288246f, 5.236068f}, {"mean", "var", 1.0f, 9.0f},
    {"l2", "mean", 2.236068f, 4.242641f}, {"l2", "l2", 3.464102f, 7.483315f},   {"l2", "var", 1.414214f, 12.727922f},
    {"var", "mean", 0.25f, 0.0f},         {"var", "l2", 0.763932f, 0.583592f},  {"var", "var", 0.0f, 0.0f},
};

at::Tensor example() { return at::tensor({1.0f, -2.0f, 3.0f, 4.0f, -1.0f, 0.0f, 1.0f, 6.0f}).view({2, 2, 2, 1}); }

ActivationMetric metric_of(const Pair& pair) {
  return make<ActivationMetric>({{"batch", text(pair.batch)}, {"seq", text(pair.seq)}});
}

void check_pair(const Pair& pair, const at::Tensor& scores) {
  CAPTURE(std::string(pair.batch) + " of " + pair.seq);
  const std::vector<float> got = list_of(scores);
  REQUIRE(got.size() == 2);
  CHECK(std::abs(got[0] - pair.first) < 2e-6f);
  CHECK(std::abs(got[1] - pair.second) < 2e-6f);
}

}  // namespace

TEST_CASE("the nine pairs of aggregations give the numbers of the oracle, in one or in two micro-batches") {
  for (const Pair& pair : kPairs) {
    for (const std::int64_t micro_batch : {2, 1}) {
      ActivationMetric metric = metric_of(pair);
      metric.begin(site_of(2));
      observe_in_parts(metric, example(), micro_batch);
      check_pair(pair, metric.scores());
    }
  }
}

TEST_CASE("merging two halves gives the numbers of the whole, for every batch function") {
  for (const Pair& pair : kPairs) {
    ActivationMetric first = metric_of(pair), second = metric_of(pair);
    first.begin(site_of(2)), second.begin(site_of(2));
    observe(first, example().narrow(0, 0, 1)), observe(second, example().narrow(0, 1, 1));
    first.merge(second.state());
    check_pair(pair, first.scores());
  }
}

TEST_CASE("merging into or from an instance that saw nothing changes nothing") {
  for (const Pair& pair : kPairs) {
    ActivationMetric seen = metric_of(pair), empty = metric_of(pair);
    seen.begin(site_of(2)), empty.begin(site_of(2));
    observe(seen, example());
    seen.merge(empty.state());
    check_pair(pair, seen.scores());
    empty.merge(seen.state());
    check_pair(pair, empty.scores());
  }
}

TEST_CASE("restored state goes on as if nothing had happened") {
  for (const Pair& pair : kPairs) {
    ActivationMetric first = metric_of(pair), second = metric_of(pair);
    first.begin(site_of(2)), second.begin(site_of(2));
    observe(first, example().narrow(0, 0, 1));
    second.restore(first.state());
    observe(first, example().narrow(0, 1, 1)), observe(second, example().narrow(0, 1, 1));
    CHECK(at::equal(first.scores(), second.scores()));
    check_pair(pair, second.scores());
  }
}

TEST_CASE("a unit of several channels: the norm of each token, or the norm of finished scores") {
  const at::Tensor head = example().view({2, 2, 1, 2});
  for (const auto& [norm, expected] : {std::pair("token_norm", 5.062761f), std::pair("channel_then_norm", 4.795832f)}) {
    for (const std::int64_t micro_batch : {2, 1}) {
      ActivationMetric metric = make<ActivationMetric>({{"norm", text(norm)}});
      metric.begin(site_of(1, 2));
      observe_in_parts(metric, head, micro_batch);
      REQUIRE(metric.scores().numel() == 1);
      CHECK(std::abs(metric.scores().item<float>() - expected) < 2e-6f);
    }
  }
}

TEST_CASE("the cut into micro-batches does not change a bit of the scores") {
  const at::Tensor samples = at::sin(at::arange(12 * 33 * 5 * 4, at::kFloat)).view({12, 33, 5, 4});
  for (const Pair& pair : kPairs) {
    at::Tensor whole;
    for (const std::int64_t micro_batch : {12, 1, 5}) {
      ActivationMetric metric = metric_of(pair);
      metric.begin(site_of(5, 4));
      observe_in_parts(metric, samples, micro_batch);
      if (!whole.defined()) whole = metric.scores();
      CHECK(at::equal(metric.scores(), whole));
    }
  }
}

TEST_CASE("permuting the units permutes the scores") {
  const at::Tensor samples = at::sin(at::arange(3 * 7 * 6, at::kFloat)).view({3, 7, 6, 1}),
                   order = at::tensor({3, 0, 5, 1, 4, 2}, at::kLong);
  ActivationMetric plain = make<ActivationMetric>(), permuted = make<ActivationMetric>();
  plain.begin(site_of(6)), permuted.begin(site_of(6));
  observe(plain, samples), observe(permuted, samples.index_select(2, order));
  CHECK(at::allclose(permuted.scores(), plain.scores().index_select(0, order), 1e-6, 0));
}

TEST_CASE("bfloat16 activations are summed in float32 and do not overflow") {
  const at::Tensor huge = at::full({2, 64, 1, 1}, 3e4, at::kBFloat16);
  ActivationMetric metric = make<ActivationMetric>({{"seq", text("l2")}});
  metric.begin(site_of(1));
  observe(metric, huge);
  const double one = huge.flatten()[0].item<double>();
  CHECK(metric.scores().item<float>() == doctest::Approx(one * std::sqrt(128.0)).epsilon(1e-6));
}

TEST_CASE("the tap is the axis's first one, or the one that is asked for") {
  using espalier::Tap;
  const espalier::AxisInfo ffn =
      espalier::axis_with({espalier::Dim::ffn}, {Tap::fc2_input, Tap::pre_activation}, "ffn");
  CHECK(make<ActivationMetric>().needs(ffn).tap == Tap::fc2_input);
  CHECK(make<ActivationMetric>({{"tap", text("pre_activation")}}).needs(ffn).tap == Tap::pre_activation);
  CHECK_THROWS_WITH_AS(make<ActivationMetric>({{"tap", text("norm_output")}}).needs(ffn),
                       "tap of metric 'activation' does not see the units of axis 'ffn'; got 'norm_output'; expected "
                       "'fc2_input' or 'pre_activation'",
                       espalier::RecipeError);
  CHECK_THROWS_WITH_AS(
      make<ActivationMetric>().needs(espalier::axis_with({espalier::Dim::layers}, {}, "layers")),
      "metric 'activation' needs an axis whose units have activations; got axis 'layers'; expected an axis of a width, "
      "such as 'hidden', 'ffn' or 'heads'",
      espalier::RecipeError);
}

TEST_CASE("scores of nothing and foreign states are refused") {
  ActivationMetric metric = make<ActivationMetric>();
  metric.begin(site_of(2));
  CHECK_THROWS_WITH_AS(metric.scores(), "metric 'activation' has no scores; got 0 samples; expected at least 1",
                       espalier::Error);
  CHECK_THROWS_WITH_AS(metric.restore({at::zeros({3})}),
                       "state of metric 'activation' has the wrong shape; got [3]; expected [1] [2]", espalier::Error);
  CHECK_THROWS_WITH_AS(metric.merge({}),
                       "state of metric 'activation' has the wrong shape; got nothing; expected [1] [2]",
                       espalier::Error);
}
