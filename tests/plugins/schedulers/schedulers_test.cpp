// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "plugins/schedulers/constant.hpp"
#include "plugins/schedulers/cosine.hpp"
#include "plugins/schedulers/inverse_sqrt.hpp"
#include "plugins/schedulers/linear.hpp"
#include "plugins/schedulers/polynomial.hpp"
#include "plugins/schedulers/wsd.hpp"
#include "tests/plugins/options.hpp"

using doctest::Approx;
using espalier::make;
using espalier::Progress;
using espalier::Scheduler;
using espalier::TestOptions;
using espalier::text;
using espalier::Value;
using espalier::plugins::ConstantScheduler;
using espalier::plugins::CosineScheduler;
using espalier::plugins::InverseSqrtScheduler;
using espalier::plugins::LinearScheduler;
using espalier::plugins::PolynomialScheduler;
using espalier::plugins::WsdScheduler;

namespace {

Value whole(std::int64_t number) { return {number}; }
Value real(double number) { return {number}; }

// A run of 100 steps of 1000 tokens.
Progress before_step(std::int64_t step) {
  return {.step = step, .steps = 100, .tokens = step * 1000, .total_tokens = 100000};
}

// The rate of the step that is number `now`, from 1.
double rate(const Scheduler& schedule, std::int64_t now) { return schedule.at(before_step(now - 1)); }

// Peak 1, min 0.1.
TestOptions options(std::int64_t warmup_steps, std::int64_t warmup_tokens = 0) {
  return {{"peak", real(1.0)},
          {"min", real(0.1)},
          {"warmup_steps", whole(warmup_steps)},
          {"warmup_tokens", whole(warmup_tokens)}};
}

TestOptions with(TestOptions options, const std::string& key, Value value) {
  options.set(key, std::move(value));
  return options;
}

TestOptions wsd(const char* shape, double share, std::int64_t warmup_steps = 20) {
  return with(with(options(warmup_steps), "decay_shape", text(shape)), "decay_share", real(share));
}

template <class T>
std::unique_ptr<Scheduler> scheduler(TestOptions options) {
  return std::make_unique<T>(espalier::parse_options<typename T::Options>(options));
}

struct Kind {
  const char* name;
  std::unique_ptr<Scheduler> (*make)(TestOptions);
};

const std::vector<Kind> kFalling = {{"cosine", scheduler<CosineScheduler>},
                                    {"linear", scheduler<LinearScheduler>},
                                    {"polynomial", scheduler<PolynomialScheduler>},
                                    {"wsd", scheduler<WsdScheduler>}};

std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds = kFalling;
  kinds.push_back({"inverse_sqrt", scheduler<InverseSqrtScheduler>});
  kinds.push_back({"constant", scheduler<ConstantScheduler>});
  return kinds;
}

}  // namespace

TEST_CASE("every scheduler rises linearly to peak, in steps or in tokens") {
  for (const Kind& kind : all_kinds()) {
    CAPTURE(kind.name);
    const auto steps = kind.make(options(20)), tokens = kind.make(options(3, 20000));
    CHECK(rate(*steps, 1) == Approx(0.05));
    CHECK(rate(*steps, 10) == Approx(0.5));
    CHECK(rate(*steps, 20) == 1.0);
    for (std::int64_t now = 1; now <= 100; ++now) CHECK(rate(*tokens, now) == Approx(rate(*steps, now)).epsilon(1e-14));
  }
}

TEST_CASE("what falls ends at min, never rises again and never leaps, whatever the warm-up") {
  for (const Kind& kind : kFalling) {
    CAPTURE(kind.name);
    for (const std::int64_t warmup : {0, 1, 7, 50, 99}) {
      CAPTURE(warmup);
      const auto schedule = kind.make(options(warmup));
      double previous = rate(*schedule, std::max<std::int64_t>(warmup, 1));
      CHECK(previous == Approx(1.0).epsilon(0.15));  // without a warm-up the first step is on its way down
      for (std::int64_t now = std::max<std::int64_t>(warmup, 1); now <= 100; ++now) {
        CHECK(rate(*schedule, now) <= previous);
        CHECK(rate(*schedule, now) >= 0.1);
        previous = rate(*schedule, now);
      }
      CHECK(previous == Approx(0.1).epsilon(1e-12));
    }
  }
}

TEST_CASE("at the corners a fine run changes by little: the schedules are continuous") {
  for (const Kind& kind : all_kinds()) {
    CAPTURE(kind.name);
    const auto schedule = kind.make(options(0, 20000));  // a fifth of the run, however many steps it has
    const std::int64_t steps = 200000;
    const auto at = [&](std::int64_t step) { return schedule->at({step, steps, 0, 100000}); };
    for (const double corner : {0.2, 0.8}) {
      const auto step = static_cast<std::int64_t>(corner * static_cast<double>(steps));
      for (std::int64_t i = step - 3; i < step + 3; ++i) CHECK(std::abs(at(i + 1) - at(i)) < 0.01);
    }
  }
}

TEST_CASE("a run shorter than its warm-up only rises; one that ends with it reaches peak") {
  for (const Kind& kind : all_kinds()) {
    CAPTURE(kind.name);
    CHECK(rate(*kind.make(options(200)), 100) == Approx(0.5));
    CHECK(rate(*kind.make(options(100)), 100) == 1.0);
  }
}

TEST_CASE("cosine is halfway in the middle") {
  const CosineScheduler schedule = make<CosineScheduler>(options(20));
  CHECK(rate(schedule, 40) == Approx(0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5))));
  CHECK(rate(schedule, 60) == Approx(0.55));
}

TEST_CASE("linear falls by the same each step") {
  const LinearScheduler schedule = make<LinearScheduler>(options(20));
  CHECK(rate(schedule, 40) == Approx(0.775));
  CHECK(rate(schedule, 60) == Approx(0.55));
  CHECK(rate(schedule, 99) == Approx(0.1 + 0.9 / 80));
}

TEST_CASE("polynomial takes a power of what is left; power 1 is linear") {
  const PolynomialScheduler square = make<PolynomialScheduler>(options(20)),
                            root = make<PolynomialScheduler>(with(options(20), "power", real(0.5))),
                            straight = make<PolynomialScheduler>(with(options(20), "power", whole(1)));
  CHECK(rate(square, 60) == Approx(0.1 + 0.9 * 0.25));
  CHECK(rate(square, 80) == Approx(0.1 + 0.9 * 0.0625));
  CHECK(rate(root, 80) == Approx(0.1 + 0.9 * 0.5));
  const LinearScheduler linear = make<LinearScheduler>(options(20));
  for (std::int64_t now = 1; now <= 100; ++now) CHECK(rate(straight, now) == Approx(rate(linear, now)));
}

TEST_CASE("wsd stays at peak until its decay, which is linear or 1-sqrt") {
  const WsdScheduler straight = make<WsdScheduler>(wsd("linear", 0.4)), root = make<WsdScheduler>(wsd("1-sqrt", 0.4));
  for (const std::int64_t now : {20, 21, 45, 60}) {
    CHECK(rate(straight, now) == 1.0);
    CHECK(rate(root, now) == 1.0);
  }
  CHECK(rate(straight, 70) == Approx(0.1 + 0.9 * 0.75));
  CHECK(rate(straight, 90) == Approx(0.1 + 0.9 * 0.25));
  CHECK(rate(root, 70) == Approx(0.1 + 0.9 * 0.5));
  CHECK(rate(root, 100) == Approx(0.1));
}

TEST_CASE("wsd: no decay is constant, a decay over the whole run starts after the warm-up") {
  const WsdScheduler none = make<WsdScheduler>(wsd("1-sqrt", 0.0)), whole_run = make<WsdScheduler>(wsd("linear", 1.0));
  CHECK(rate(none, 99) == 1.0);
  CHECK(rate(none, 100) == 1.0);
  const LinearScheduler linear = make<LinearScheduler>(options(20));
  for (std::int64_t now = 1; now <= 100; ++now) CHECK(rate(whole_run, now) == Approx(rate(linear, now)));
}

TEST_CASE("inverse_sqrt halves with four times the steps, stops at min and does not know the run's end") {
  const InverseSqrtScheduler schedule = make<InverseSqrtScheduler>(with(options(4), "min", real(0.25)));
  CHECK(rate(schedule, 4) == 1.0);
  CHECK(rate(schedule, 9) == Approx(2.0 / 3.0));
  CHECK(rate(schedule, 16) == Approx(0.5));
  CHECK(rate(schedule, 64) == Approx(0.25));
  CHECK(rate(schedule, 100) == 0.25);
  CHECK(schedule.at({.step = 15, .steps = 1000, .tokens = 0, .total_tokens = 1}) == Approx(0.5));
  const InverseSqrtScheduler cold = make<InverseSqrtScheduler>(options(0));
  CHECK(rate(cold, 1) == 1.0);
  CHECK(rate(cold, 4) == Approx(0.5));
}

TEST_CASE("constant rises and stays") {
  const ConstantScheduler schedule = make<ConstantScheduler>({{"peak", real(2.0)}, {"warmup_steps", whole(4)}});
  CHECK(rate(schedule, 1) == 0.5);
  CHECK(rate(schedule, 4) == 2.0);
  CHECK(rate(schedule, 100) == 2.0);
  CHECK(rate(make<ConstantScheduler>({{"peak", real(3.0)}}), 1) == 3.0);
}

TEST_CASE("after a resume the rates are those of the run that was not stopped: nothing is remembered") {
  for (const Kind& kind : all_kinds()) {
    CAPTURE(kind.name);
    const auto whole = kind.make(options(20));
    std::vector<double> rates;
    for (std::int64_t now = 1; now <= 100; ++now) rates.push_back(rate(*whole, now));
    for (const std::int64_t from : {2, 20, 21, 80, 100}) {  // in the warm-up, at its end, behind it, at the last step
      const auto resumed = kind.make(options(20));
      for (std::int64_t now = from; now <= 100; ++now) {
        CHECK(rate(*resumed, now) == rates[static_cast<std::size_t>(now - 1)]);
      }
      CHECK(rate(*resumed, 1) == rates.front());
    }
  }
}

TEST_CASE("the rate that stays is peak itself, to the last bit") {
  TestOptions odd{{"peak", real(3e-4)}, {"min", real(4.5e-7)}, {"warmup_steps", whole(3)}};
  for (const Kind& kind : all_kinds()) {
    CAPTURE(kind.name);
    CHECK(rate(*kind.make(odd), 3) == 3e-4);
  }
  CHECK(rate(make<WsdScheduler>(odd), 50) == 3e-4);
}

TEST_CASE("options: defaults, and a min above peak is a problem of the recipe") {
  TestOptions none;
  const CosineScheduler::Options defaults = espalier::parse_options<CosineScheduler::Options>(none);
  CHECK(defaults.peak == 1e-4);
  CHECK(defaults.min == 1e-5);
  CHECK(defaults.warmup.steps == 100);
  CHECK(espalier::parse_options<ConstantScheduler::Options>(none).warmup.steps == 0);
  CHECK(none.problems.empty());

  TestOptions upside_down{{"peak", real(1e-4)}, {"min", real(1e-3)}, {"warmup_steps", whole(-1)}};
  espalier::parse_options<CosineScheduler::Options>(upside_down);
  REQUIRE(upside_down.problems.size() == 2);
  CHECK(upside_down.problems[0] == "warmup_steps is out of range; got -1; expected an integer of at least 0");
  CHECK(upside_down.problems[1] == "min is above peak; got 0.001; expected at most 0.0001");
  TestOptions level{{"peak", whole(1)}, {"min", whole(1)}, {"warmup_steps", whole(0)}};
  for (const Kind& kind : kFalling) CHECK(rate(*kind.make(level), 51) == 1.0);
}

TEST_CASE("options of one scheduler alone are checked, too") {
  TestOptions bad{{"decay_share", real(1.5)}, {"decay_shape", text("cosine")}, {"min", real(1.0)}};
  espalier::parse_options<WsdScheduler::Options>(bad);
  REQUIRE(bad.problems.size() == 3);
  CHECK(bad.problems[0] == "decay_share is out of range; got 1.5; expected a real from 0 to 1");
  CHECK(bad.problems[1] == "decay_shape is not a known choice; got \"cosine\"; expected \"1-sqrt\" or \"linear\"");
  CHECK(bad.problems[2] == "min is above peak; got 1.0; expected at most 0.0001");
  TestOptions power{{"power", whole(0)}};
  espalier::parse_options<PolynomialScheduler::Options>(power);
  REQUIRE(power.problems.size() == 1);
  CHECK(power.problems[0] == "power is out of range; got 0; expected a real above 0");
}
