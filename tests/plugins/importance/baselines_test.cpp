// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/importance/magnitude.hpp"
#include "plugins/importance/position.hpp"
#include "plugins/importance/random.hpp"
#include "tests/plugins/importance/observe.hpp"
#include "tests/plugins/options.hpp"

using espalier::list_of;
using espalier::make;
using espalier::site_of;
using espalier::text;
using espalier::plugins::MagnitudeMetric;
using espalier::plugins::PositionMetric;
using espalier::plugins::RandomMetric;

TEST_CASE("magnitude is the norm over all tensors together") {
  for (const auto& [norm, expected] :
       {std::pair("l1", std::vector<float>{8, 12}), std::pair("l2", std::vector<float>{5.0990195f, 8.4852814f})}) {
    MagnitudeMetric metric = make<MagnitudeMetric>({{"norm", text(norm)}});
    metric.begin(site_of(2));
    observe(metric, at::tensor({3.0f, -4.0f, 0.0f, 6.0f}).view({2, 2}));
    observe(metric, at::tensor({1.0f, -6.0f}).view({2, 1}));
    const std::vector<float> got = list_of(metric.scores());
    for (std::size_t i = 0; i < 2; ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-6));
  }
}

TEST_CASE("magnitude of layers takes each layer's tensors one by one") {
  MagnitudeMetric metric = make<MagnitudeMetric>({{"norm", text("l1")}});
  metric.begin(site_of(3));
  observe(metric, at::tensor({1.0f, -2.0f}).view({1, 2}), {}, 0);
  observe(metric, at::tensor({5.0f}).view({1, 1}), {}, 2);
  observe(metric, at::tensor({3.0f}).view({1, 1}), {}, 0);
  CHECK(list_of(metric.scores()) == std::vector<float>{6, 0, 5});
}

TEST_CASE("magnitude's halves merge into the whole") {
  MagnitudeMetric whole = make<MagnitudeMetric>(), first = make<MagnitudeMetric>(), second = make<MagnitudeMetric>();
  const at::Tensor weights = at::sin(at::arange(24, at::kFloat)).view({4, 6});
  whole.begin(site_of(4)), first.begin(site_of(4)), second.begin(site_of(4));
  observe(whole, weights.narrow(1, 0, 3)), observe(whole, weights.narrow(1, 3, 3));
  observe(first, weights.narrow(1, 0, 3)), observe(second, weights.narrow(1, 3, 3));
  first.merge(second.state());
  CHECK(at::equal(first.scores(), whole.scores()));
  second.restore(first.state());
  CHECK(at::equal(second.scores(), whole.scores()));
}

TEST_CASE("random scores are a function of the site's seed, in [0, 1) and different from each other") {
  RandomMetric one = make<RandomMetric>(), same = make<RandomMetric>(), other = make<RandomMetric>();
  one.begin(site_of(1000, 1, 7)), same.begin(site_of(1000, 1, 7)), other.begin(site_of(1000, 1, 8));
  CHECK(at::equal(one.scores(), same.scores()));
  CHECK_FALSE(at::equal(one.scores(), other.scores()));
  CHECK(one.scores().min().item<float>() >= 0.0f);
  CHECK(one.scores().max().item<float>() < 1.0f);
  CHECK(one.scores().mean().item<float>() == doctest::Approx(0.5).epsilon(0.05));
  CHECK(std::get<0>(at::_unique(one.scores())).numel() == 1000);
  CHECK(one.needs(espalier::axis_with({espalier::Dim::layers}, {}, "layers")).evidence == espalier::Evidence::none);
}

TEST_CASE("position ranks the first, then the last, then the rest from one of its ends") {
  const auto ranks = [](std::int64_t first, std::int64_t last, const char* order, std::int64_t units) {
    PositionMetric metric =
        make<PositionMetric>({{"keep_first", {first}}, {"keep_last", {last}}, {"order", {std::string(order)}}});
    metric.begin(site_of(units));
    return list_of(metric.scores());
  };
  using List = std::vector<float>;
  CHECK(ranks(0, 0, "early", 4) == List{4, 3, 2, 1});
  CHECK(ranks(0, 0, "late", 4) == List{1, 2, 3, 4});
  CHECK(ranks(1, 1, "early", 6) == List{6, 4, 3, 2, 1, 5});
  CHECK(ranks(2, 1, "late", 6) == List{6, 5, 1, 2, 3, 4});
  CHECK(ranks(0, 2, "early", 5) == List{3, 2, 1, 4, 5});
  CHECK(ranks(3, 3, "late", 4) == List{4, 3, 2, 1});  // more than there are: the first ones have precedence
  CHECK(ranks(9, 0, "early", 2) == List{2, 1});
  CHECK(make<PositionMetric>().needs(espalier::axis_with({espalier::Dim::layers}, {}, "layers")).evidence ==
        espalier::Evidence::none);
  CHECK_THROWS_WITH_AS(
      make<PositionMetric>().needs(espalier::axis_with({espalier::Dim::ffn}, {espalier::Tap::fc2_input}, "ffn")),
      "metric 'position' scores layers and parts of them; got axis 'ffn'; expected an axis of layers, such as 'layers'",
      espalier::RecipeError);
}
