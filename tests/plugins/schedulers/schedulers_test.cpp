// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <doctest/doctest.h>

#include "plugins/schedulers/constant.hpp"
#include "plugins/schedulers/cosine.hpp"
#include "tests/plugins/options.hpp"

using doctest::Approx;
using espalier::make;
using espalier::Progress;
using espalier::TestOptions;
using espalier::Value;
using espalier::plugins::ConstantScheduler;
using espalier::plugins::CosineScheduler;

namespace {

Value whole(std::int64_t number) { return {number}; }
Value real(double number) { return {number}; }

// A run of 100 steps of 1000 tokens.
Progress before_step(std::int64_t step) {
  return {.step = step, .steps = 100, .tokens = step * 1000, .total_tokens = 100000};
}

}  // namespace

TEST_CASE("cosine rises linearly to peak, is halfway in the middle and ends at min") {
  const CosineScheduler schedule({.peak = 1.0, .min = 0.1, .warmup_steps = 20, .warmup_tokens = 0});
  CHECK(schedule.at(before_step(0)) == Approx(0.05));
  CHECK(schedule.at(before_step(9)) == Approx(0.5));
  CHECK(schedule.at(before_step(19)) == 1.0);
  CHECK(schedule.at(before_step(39)) == Approx(0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5))));
  CHECK(schedule.at(before_step(59)) == Approx(0.55));
  CHECK(schedule.at(before_step(99)) == Approx(0.1).epsilon(1e-12));
}

TEST_CASE("cosine never falls below min nor rises again, whatever the warm-up") {
  for (const std::int64_t warmup : {0, 1, 7, 99}) {
    const CosineScheduler schedule({.peak = 1.0, .min = 0.25, .warmup_steps = warmup, .warmup_tokens = 0});
    double previous = 2.0;
    for (std::int64_t step = std::max<std::int64_t>(warmup - 1, 0); step < 100; ++step) {
      const double rate = schedule.at(before_step(step));
      CHECK(rate <= previous);
      CHECK(rate >= 0.25);
      previous = rate;
    }
    CHECK(previous == Approx(0.25));
  }
}

TEST_CASE("a warm-up in tokens is the same as one in steps") {
  const CosineScheduler steps({.peak = 1.0, .min = 0.1, .warmup_steps = 20, .warmup_tokens = 0});
  const CosineScheduler tokens({.peak = 1.0, .min = 0.1, .warmup_steps = 3, .warmup_tokens = 20000});
  for (std::int64_t step = 0; step < 100; ++step)
    CHECK(tokens.at(before_step(step)) == Approx(steps.at(before_step(step))));
}

TEST_CASE("a run shorter than its warm-up only rises; one that ends with it reaches peak") {
  const CosineScheduler shorter({.peak = 1.0, .min = 0.1, .warmup_steps = 200, .warmup_tokens = 0});
  CHECK(shorter.at(before_step(99)) == Approx(0.5));
  const CosineScheduler equal({.peak = 1.0, .min = 0.1, .warmup_steps = 100, .warmup_tokens = 0});
  CHECK(equal.at(before_step(99)) == 1.0);
}

TEST_CASE("constant rises and stays") {
  const ConstantScheduler schedule({.peak = 2.0, .warmup_steps = 4});
  CHECK(schedule.at(before_step(0)) == 0.5);
  CHECK(schedule.at(before_step(3)) == 2.0);
  CHECK(schedule.at(before_step(99)) == 2.0);
  CHECK(make<ConstantScheduler>({{"peak", real(3.0)}}).at(before_step(0)) == 3.0);
}

TEST_CASE("options: defaults, and a min above peak is a problem of the recipe") {
  TestOptions none;
  const CosineScheduler::Options defaults = espalier::parse_options<CosineScheduler::Options>(none);
  CHECK(defaults.peak == 1e-4);
  CHECK(defaults.min == 1e-5);
  CHECK(defaults.warmup_steps == 100);
  CHECK(none.problems.empty());

  TestOptions upside_down{{"peak", real(1e-4)}, {"min", real(1e-3)}, {"warmup_steps", whole(-1)}};
  espalier::parse_options<CosineScheduler::Options>(upside_down);
  REQUIRE(upside_down.problems.size() == 2);
  CHECK(upside_down.problems[0] == "warmup_steps is out of range; got -1; expected an integer of at least 0");
  CHECK(upside_down.problems[1] == "min is above peak; got 0.001; expected at most 0.0001");
  CHECK(
      make<CosineScheduler>({{"peak", whole(1)}, {"min", whole(1)}, {"warmup_steps", whole(0)}}).at(before_step(50)) ==
      1.0);
}
