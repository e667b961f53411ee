// SPDX-License-Identifier: Apache-2.0
#include "core/stats/components.hpp"

#include <cmath>

#include <doctest/doctest.h>

#include "core/base/random.hpp"
#include "core/stats/interval.hpp"
#include "core/stats/quantiles.hpp"
#include "tests/core/stats/simulated.hpp"

using doctest::Approx;
using espalier::Components;
using espalier::components_of;
using espalier::half_width;
using espalier::Sample;
using espalier::testing::simulate;

namespace {

// The pigeonhole bootstrap as it is defined: seeds and documents drawn with replacement, all pairs of both kept.
double bootstrap_variance(const Sample& sample, int replicates) {
  const auto& sums = sample.strata.front().sums;
  const std::size_t seeds = sums.size(), documents = sample.tokens.size();
  std::uint64_t at = 0;
  const auto draw = [&](std::size_t below) {
    return static_cast<std::size_t>(espalier::uniform(17, at++) * static_cast<double>(below));
  };
  double first = 0.0, second = 0.0;
  for (int r = 0; r < replicates; ++r) {
    std::vector<double> seed_times(seeds, 0.0), document_times(documents, 0.0);
    for (std::size_t s = 0; s < seeds; ++s) seed_times[draw(seeds)] += 1.0;
    for (std::size_t d = 0; d < documents; ++d) document_times[draw(documents)] += 1.0;
    double nll = 0.0, tokens = 0.0;
    for (std::size_t d = 0; d < documents; ++d) {
      tokens += document_times[d] * sample.tokens[d];
      for (std::size_t s = 0; s < seeds; ++s)
        nll += document_times[d] * seed_times[s] * sums[s][d] / static_cast<double>(seeds);
    }
    first += nll / tokens / replicates;
    second += nll / tokens * (nll / tokens) / replicates;
  }
  return second - first * first;
}

}  // namespace

TEST_CASE("the variances of two seeds and two documents are those worked out by hand") {
  // Per token: seed 1 has 1 and 3, seed 2 has 2 and 8, of two documents of one token each.
  const Sample sample{{{1.0, {{1.0, 3.0}, {2.0, 8.0}}}}, {1.0, 1.0}};
  const Components c = components_of(sample);
  CHECK(c.estimate == Approx(3.5));       // of 2 and 5
  CHECK(c.seeds == Approx(4.5 / 2));      // variance of {2, 5} is 4.5
  CHECK(c.documents == Approx(8.0 / 2));  // documents have means 1.5 and 5.5: variance 8
  // Interaction is ±1 everywhere: 4 / (1 degree of freedom) / (2 × 2).
  CHECK(c.residual == Approx(1.0));
  CHECK(c.variance() == Approx(2.25 + 4.0 - 1.0));
  CHECK(c.seeds_degrees == 1.0);
  CHECK(c.documents_degrees == 1.0);
}

TEST_CASE("the estimate is the ratio of sums: long documents count by their tokens") {
  const Sample sample{{{1.0, {{10.0, 1.0}, {30.0, 2.0}}}}, {100.0, 1.0}};
  CHECK(components_of(sample).estimate == Approx((11.0 + 32.0) / 2 / 101.0));
}

TEST_CASE("the variance is the pigeonhole bootstrap's, whose factors are put right and whose rest is counted once") {
  // Many seeds and documents of like lengths, where the factors are near 1. 4,000 resamples: their variance is known to
  // 1/√2000 = 2.2 %; four times that, and 5 % for the factors.
  const Sample sample = simulate(3, 40, 80, {0.2, 1.0, 2.0, 0.1, 0.3});
  const Components c = components_of(sample);
  const double resampled = bootstrap_variance(sample, 4000);
  CHECK(resampled == Approx(c.seeds + c.documents + c.residual).epsilon(0.14));
  CHECK(resampled > 1.1 * c.variance());
}

TEST_CASE("where one source has no variance the interval is that of t over the other") {
  // Seeds alone: every document differs by the same per token.
  const Sample seeds{{{1.0, {{1.0, 2.0}, {2.0, 4.0}, {6.0, 12.0}}}}, {10.0, 20.0}};
  const double deviation = std::sqrt(0.07 / 3.0);                                    // of 0.1, 0.2, 0.6: variance 0.07
  CHECK(half_width(components_of(seeds), 0.95) == Approx(4.302652730 * deviation));  // t of 2 degrees, from tables
  // Documents alone, equal lengths, one seed: the t interval of a mean.
  const Sample one{{{1.0, {{1.0, 2.0, 6.0}}}}, {10.0, 10.0, 10.0}};
  CHECK(half_width(components_of(one), 0.95) == Approx(4.302652730 * deviation));
  CHECK_FALSE(components_of(one).covers_seeds());
  // One document says nothing about documents; one of both nothing at all.
  const Sample single{{{1.0, {{1.0}, {2.0}, {6.0}}}}, {10.0}};
  CHECK_FALSE(components_of(single).covers_documents());
  CHECK(half_width(components_of(single), 0.95) == Approx(4.302652730 * deviation));
  CHECK(half_width(components_of({{{1.0, {{1.0}}}}, {10.0}}), 0.95) == 0.0);
}

TEST_CASE("equal models differ by nothing with certainty") {
  const Sample equal{{{1.0, {{0.0, 0.0}, {0.0, 0.0}}}}, {3.0, 4.0}};
  CHECK(components_of(equal).estimate == 0.0);
  CHECK(half_width(components_of(equal), 0.95) == 0.0);
}

TEST_CASE("arms without a common seed have the variances of both") {
  const Sample apart{{{1.0, {{3.0, 1.0}, {5.0, 3.0}}}, {-1.0, {{1.0, 1.0}, {2.0, 2.0}, {3.0, 3.0}}}}, {1.0, 1.0}};
  const Components c = components_of(apart);
  CHECK(c.estimate == Approx(3.0 - 2.0));
  CHECK(c.seeds == Approx(2.0 / 2 + 1.0 / 3));  // means 2, 4 and 1, 2, 3
  CHECK(c.documents == Approx(2.0 / 2));        // of the difference: documents 2 and 0
  CHECK(c.replicates == 2);
  // Welch: (1 + 1/3)² / (1² / 1 + (1/3)² / 2)
  CHECK(c.seeds_degrees == Approx((16.0 / 9) / (1.0 + 1.0 / 18)));
}

TEST_CASE("quantiles and powers of t are those of tables") {
  CHECK(espalier::t_quantile(0.975, 1) == Approx(12.7062047));
  CHECK(espalier::t_quantile(0.975, 10) == Approx(2.228138852));
  CHECK(espalier::t_quantile(0.975, 1e9) == Approx(1.959963985));
  // A two-sided t test at 5 % of 10 pairs at one standard deviation: power 0.803 (R: power.t.test, type "paired").
  CHECK(espalier::t_beyond(espalier::t_quantile(0.975, 9), 9, std::sqrt(10.0)) == Approx(0.8030962).epsilon(1e-4));
  CHECK(espalier::t_beyond(1.959963985, 1e9, 0.0) == Approx(0.05));
}
