// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/importance/magnitude.hpp"
#include "plugins/importance/random.hpp"
#include "tests/plugins/importance/observe.hpp"
#include "tests/plugins/options.hpp"

using espalier::list_of;
using espalier::make;
using espalier::site_of;
using espalier::text;
using espalier::plugins::MagnitudeMetric;
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
