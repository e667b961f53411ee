// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <doctest/doctest.h>

#include "tests/examples/loaded.hpp"

using espalier::Scheduler;
using espalier::Value;
using espalier::testing::Loaded;

namespace {

Value real(double value) { return {value}; }
Value whole(std::int64_t value) { return {value}; }

// The rates of all steps of a run.
std::vector<double> rates(const Scheduler& scheduler, std::int64_t steps) {
  std::vector<double> all;
  for (std::int64_t step = 0; step < steps; ++step) all.push_back(scheduler.at({step, steps, step * 8, steps * 8}));
  return all;
}

auto sgdr(std::int64_t cycles, double t_mult, std::int64_t warmup) {
  return Loaded::example("sgdr").scheduler("sgdr", {{"peak", real(1.0)},
                                                    {"min", real(0.0)},
                                                    {"cycles", whole(cycles)},
                                                    {"t_mult", real(t_mult)},
                                                    {"warmup_steps", whole(warmup)}});
}

void check_rates(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-9));
  }
}

// (1 + cos(π k / 8)) / 2 for k = 1 … 7, from tables.
constexpr double k1 = 0.9619397662556434, k2 = 0.8535533905932737, k3 = 0.6913417161825449, k4 = 0.5,
                 k5 = 0.3086582838174551, k6 = 0.1464466094067263, k7 = 0.0380602337443566;

}  // namespace

TEST_CASE("14 steps in three cycles that double have 2, 4 and 8 steps, each from the peak to min") {
  check_rates(rates(*sgdr(3, 2.0, 0), 14), {k4, 0.0, k2, k4, k6, 0.0, k1, k2, k3, k4, k5, k6, k7, 0.0});
}

TEST_CASE("t_mult 1 gives cycles of one length, after a linear warm-up") {
  check_rates(rates(*sgdr(2, 1.0, 4), 12), {0.25, 0.5, 0.75, 1.0, k2, k4, k6, 0.0, k2, k4, k6, 0.0});
}

TEST_CASE("min and peak scale the cosine") {
  const auto scheduler =
      Loaded::example("sgdr").scheduler("sgdr", {{"peak", real(3e-3)}, {"min", real(1e-3)}, {"cycles", whole(1)}});
  check_rates(rates(*scheduler, 4), {1e-3 + 2e-3 * k2, 2e-3, 1e-3 + 2e-3 * k6, 1e-3});
}

TEST_CASE("one cycle is the built-in cosine") {
  const Loaded built_in(SCHEDULERS_PLUGIN);
  for (const std::int64_t warmup : {0, 1, 12, 60}) {
    const auto cosine =
        built_in.scheduler("cosine", {{"peak", real(2e-3)}, {"min", real(1e-4)}, {"warmup_steps", whole(warmup)}});
    const auto single = Loaded::example("sgdr").scheduler(
        "sgdr", {{"peak", real(2e-3)}, {"min", real(1e-4)}, {"cycles", whole(1)}, {"warmup_steps", whole(warmup)}});
    check_rates(rates(*single, 50), rates(*cosine, 50));
  }
}

TEST_CASE("every run ends at min, also one with fewer steps than cycles, and no rate leaves its bounds") {
  for (const double t_mult : {1.0, 1.5, 2.0, 10.0}) {
    for (std::int64_t steps = 1; steps <= 40; ++steps) {
      const std::vector<double> all = rates(*sgdr(5, t_mult, 0), steps);
      CHECK(all.back() == doctest::Approx(0.0));
      for (const double rate : all) CHECK((rate >= 0.0 && rate <= 1.0));
    }
  }
}

TEST_CASE("a min above the peak is a problem of the recipe") {
  CHECK_THROWS_WITH(Loaded::example("sgdr").scheduler("sgdr", {{"peak", real(1e-4)}, {"min", real(1e-3)}}),
                    doctest::Contains("min of scheduler 'sgdr' is above peak; got 0.001; expected at most 0.0001"));
}
