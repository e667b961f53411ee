// SPDX-License-Identifier: Apache-2.0
#include "core/stats/power.hpp"

#include <doctest/doctest.h>

#include "core/stats/interval.hpp"
#include "tests/core/stats/simulated.hpp"

using doctest::Approx;
using espalier::Components;
using espalier::components_of;
using espalier::half_width;
using espalier::Needed;
using espalier::needed;
using espalier::power;
using espalier::scaled;
using espalier::testing::Effects;
using espalier::testing::simulate;

namespace {

// How often the interval names the planted difference, of 2,000 comparisons.
double named(std::size_t seeds, std::size_t documents, const Effects& effects) {
  int found = 0;
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    const Components c = components_of(simulate(i, seeds, documents, effects));
    found += c.estimate > half_width(c, 0.95) ? 1 : 0;
  }
  return found / 2000.0;
}

// The components as they truly are: the mean over many simulated ones.
Components truth(std::size_t seeds, std::size_t documents, const Effects& effects) {
  Components mean = components_of(simulate(1, seeds, documents, effects));
  mean.seeds = mean.documents = mean.residual = mean.documents_degrees = 0.0;
  for (std::uint64_t i = 1; i <= 400; ++i) {
    const Components c = components_of(simulate(10'000 + i, seeds, documents, effects));
    mean.seeds += c.seeds / 400, mean.documents += c.documents / 400, mean.residual += c.residual / 400;
    mean.documents_degrees += c.documents_degrees / 400;
  }
  return mean;
}

}  // namespace

TEST_CASE("a planted difference is named as often as predicted") {
  struct Case {
    std::size_t seeds, documents;
    Effects effects;
  };
  const Case cases[] = {{3, 60, {0.3, 0.1, 0.2, 0.6, 0.5}},
                        {5, 60, {0.3, 0.1, 0.2, 0.45, 0.5}},
                        {3, 100, {0.01, 1.0, 0.3, 0.3, 0.5}},
                        {5, 100, {0.2, 1.0, 0.3, 0.4, 0.5}},
                        {1, 100, {0.0, 1.0, 0.3, 0.3, 0.5}}};
  for (const Case& c : cases) {
    CAPTURE(c.seeds);
    CAPTURE(c.effects.seed);
    const double predicted = power(truth(c.seeds, c.documents, c.effects), c.effects.difference, 0.95);
    CHECK(predicted > 0.4);
    CHECK(predicted < 0.97);
    CHECK(named(c.seeds, c.documents, c.effects) == Approx(predicted).epsilon(0.06));
  }
}

TEST_CASE("with the number of seeds that was said to be needed, the difference is named with 80 % power") {
  const Effects effects{0.3, 0.5, 0.3, 0.4, 0.5};
  Components pilot = truth(3, 200, effects);
  pilot.estimate = effects.difference;
  const Needed need = needed(pilot, 0.95);
  REQUIRE(need.seeds);
  CHECK(*need.seeds > 3);
  CHECK_FALSE(need.documents);
  CHECK(named(*need.seeds, 200, effects) >= 0.76);
  CHECK(named(*need.seeds - 1, 200, effects) <= 0.84);
}

TEST_CASE("where documents vary more than the difference, no number of seeds does, and documents are asked for") {
  const Effects effects{0.01, 1.0, 0.2, 0.1, 0.5};
  Components pilot = truth(3, 60, effects);
  pilot.estimate = effects.difference;
  const Needed need = needed(pilot, 0.95);
  CHECK_FALSE(need.seeds);
  REQUIRE(need.documents);
  CHECK(named(3, *need.documents, effects) == Approx(0.8).epsilon(0.06));
}

TEST_CASE("of one seed nothing is said about seeds; of no difference, no number is enough") {
  Components one = components_of(simulate(4, 1, 60, {0.0, 1.0, 0.3, 0.1}));
  one.estimate = 0.05;
  CHECK_FALSE(needed(one, 0.95).seeds);
  CHECK(needed(one, 0.95).documents);
  one.estimate = 0.0;
  CHECK_FALSE(needed(one, 0.95).documents);
}

TEST_CASE("more seeds lessen what seeds vary by, more documents what documents vary by") {
  const Components c{0.1, 4.0, 3.0, 1.0, 2.0, 50.0, 3, 60};
  const Components more = scaled(c, 6, 120);
  CHECK(more.seeds == Approx(3.0 / 2 + 1.0 / 4));
  CHECK(more.documents == Approx(2.0 / 2 + 1.0 / 4));
  CHECK(more.residual == Approx(1.0 / 4));
  CHECK(more.seeds_degrees == Approx(5.0));
  CHECK(more.documents_degrees == Approx(100.0));
}
