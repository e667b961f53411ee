// SPDX-License-Identifier: Apache-2.0
// With no difference between two models, an interval of 95 % must exclude zero in about 5 % of comparisons: in 3 to 7 %
// of 2,000 here, whose own standard deviation is 0.5 %.
#include <doctest/doctest.h>

#include "core/stats/interval.hpp"
#include "tests/core/stats/simulated.hpp"

using espalier::Components;
using espalier::components_of;
using espalier::half_width;
using espalier::Sample;
using espalier::testing::Draw;
using espalier::testing::Effects;
using espalier::testing::simulate;

namespace {

constexpr int kComparisons = 2000;

template <class Make>
double missing(double level, const Make& make) {
  int missed = 0;
  for (int i = 0; i < kComparisons; ++i) {
    const Components components = components_of(make(static_cast<std::uint64_t>(i) + 1));
    missed += std::abs(components.estimate) > half_width(components, level) ? 1 : 0;
  }
  return 100.0 * missed / kComparisons;
}

// Seeds that vary by `times` as much as documents make the estimate vary, whatever their number.
Effects shares(double times, std::size_t seeds, std::size_t documents) {
  const double one = std::sqrt(std::exp(1.0) / static_cast<double>(documents));  // Σ share² of lengths of spread 1
  return {times * one * std::sqrt(static_cast<double>(seeds)), 1.0, 0.3};
}

}  // namespace

TEST_CASE("intervals over seeds and documents miss as often as they say, whichever varies more") {
  for (const std::size_t seeds : {2, 3, 5}) {
    for (const std::size_t documents : {20, 60, 150, 400}) {
      const Effects cases[] = {
          {1.0, 0.05, 0.2}, {0.001, 1.0, 0.3}, shares(1.0, seeds, documents), shares(2.0, seeds, documents)};
      for (const Effects& effects : cases) {
        CAPTURE(seeds);
        CAPTURE(documents);
        CAPTURE(effects.seed);
        CAPTURE(effects.document);
        const double missed =
            missing(0.95, [&](std::uint64_t seed) { return simulate(seed, seeds, documents, effects); });
        CHECK(missed >= 3.0);
        CHECK(missed <= 7.0);
      }
    }
  }
}

TEST_CASE("intervals of one seed miss as often as they say over documents alone") {
  for (const std::size_t documents : {20, 60, 150, 400}) {
    for (const double spread : {0.0, 0.7, 1.0, 1.3}) {
      CAPTURE(documents);
      CAPTURE(spread);
      const Effects effects{0.0, 1.0, 0.3, 0.0, spread};
      const double missed = missing(0.95, [&](std::uint64_t seed) { return simulate(seed, 1, documents, effects); });
      CHECK(missed >= 3.0);
      CHECK(missed <= 7.2);  // spread 1.3 and 20 documents: three documents hold half of the tokens
    }
  }
}

TEST_CASE("intervals over the seeds of several teachers, and over arms that share no seed, miss as often as they say") {
  const Effects effects{0.2, 1.0, 0.3};
  const auto strata = [&](std::uint64_t seed, const std::vector<double>& weights) {
    Draw draw(seed);
    Sample sample;
    sample.tokens = espalier::testing::lengths(draw, 60, 1.0);
    for (const double weight : weights) {
      const std::vector<double> documents = espalier::testing::document_effects(draw, 60, effects);
      sample.strata.push_back(espalier::testing::replicates(draw, 3, sample.tokens, documents, effects));
      sample.strata.back().weight = weight;
    }
    return sample;
  };
  for (const std::vector<double>& weights : {std::vector<double>{0.5, 0.5}, {1.0, -1.0}}) {
    const double missed = missing(0.95, [&](std::uint64_t seed) { return strata(seed, weights); });
    CAPTURE(weights[1]);
    CHECK(missed >= 3.0);
    CHECK(missed <= 7.0);
  }
}

TEST_CASE("three intervals that are to hold together miss together as often as one") {
  CHECK(espalier::level_of_each(0.95, 1) == doctest::Approx(0.95));
  CHECK(espalier::level_of_each(0.95, 5) == doctest::Approx(0.99));
  int missed = 0;
  for (std::uint64_t i = 0; i < kComparisons; ++i) {
    bool any = false;
    for (std::uint64_t c = 0; c < 3; ++c) {
      const Components components = components_of(simulate(3 * i + c + 1, 3, 60, {0.1, 1.0, 0.3}));
      any = any || std::abs(components.estimate) > half_width(components, espalier::level_of_each(0.95, 3));
    }
    missed += any ? 1 : 0;
  }
  CHECK(missed >= 0.03 * kComparisons);
  CHECK(missed <= 0.07 * kComparisons);
}
