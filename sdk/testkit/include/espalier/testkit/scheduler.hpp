// SPDX-License-Identifier: Apache-2.0
// What a scheduler promises, over runs of several lengths.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "espalier/sdk/scheduler.hpp"
#include "espalier/testkit/options.hpp"

namespace espalier::testkit {

// Largest step between neighbours in a run of 10000, as a share of the peak. A warm-up of 50 steps rises by 2 % a step;
// what falls by more than a quarter at once was not meant to be a curve.
inline constexpr double kLargestJump = 0.25;

namespace detail {

inline constexpr std::int64_t kTokensOfAStep = 4096;

inline Progress progress_at(std::int64_t step, std::int64_t steps) {
  return {step, steps, step * kTokensOfAStep, steps * kTokensOfAStep};
}

inline void check_range(Checklist& checks, const Make<Scheduler>& make) {
  checks.run("scheduler/range", [&](Trial& trial) {
    const auto scheduler = make();
    for (const std::int64_t steps : {1, 2, 10, 1000}) {
      for (std::int64_t step = 0; step < steps; ++step) {
        trial.at(concat("step ", step, " of ", steps));
        const double rate = scheduler->at(progress_at(step, steps));
        trial.expect(std::isfinite(rate) && rate >= 0.0, concat("got a rate of ", rate, "; expected 0 or more"));
      }
    }
  });
}

inline void check_pure(Checklist& checks, const Make<Scheduler>& make) {
  checks.run("scheduler/pure", [&](Trial& trial) {
    for (const std::int64_t steps : {2, 10, 1000}) {
      std::vector<double> forward;
      const auto scheduler = make();
      for (std::int64_t step = 0; step < steps; ++step) forward.push_back(scheduler->at(progress_at(step, steps)));
      const auto expect_same = [&](double rate, std::int64_t step, const char* how) {
        trial.at(concat("step ", step, " of ", steps, ", ", how));
        const double expected = forward[static_cast<std::size_t>(step)];
        trial.expect(rate == expected, concat("the rate depends on more than the progress; got ", short_number(rate),
                                              "; expected ", short_number(expected)));
      };
      const std::int64_t middle = steps / 2;
      expect_same(make()->at(progress_at(middle, steps)), middle, "asked of another instance, as after a resume");
      for (std::int64_t step = steps - 1; step >= 0; --step) {
        expect_same(scheduler->at(progress_at(step, steps)), step, "asked for backwards");
      }
    }
  });
}

inline void check_continuous(Checklist& checks, const Make<Scheduler>& make) {
  checks.run("scheduler/continuous", [&](Trial& trial) {
    constexpr std::int64_t kSteps = 10000;
    const auto scheduler = make();
    std::vector<double> rates;
    double peak = 0.0;
    for (std::int64_t step = 0; step < kSteps; ++step) {
      rates.push_back(scheduler->at(progress_at(step, kSteps)));
      peak = std::max(peak, rates.back());
    }
    double largest = 0.0;
    std::int64_t where = 1;
    for (std::size_t step = 1; step < rates.size(); ++step) {
      const double jump = std::abs(rates[step] - rates[step - 1]) / (peak > 0.0 ? peak : 1.0);
      if (jump > largest) largest = jump, where = static_cast<std::int64_t>(step);
    }
    trial.at(concat("steps ", where - 1, " and ", where, " of ", kSteps));
    trial.note(concat("largest step ", short_number(largest), " of the peak, at ", where));
    trial.expect(largest <= kLargestJump, concat("the rate jumps; got ", short_number(largest),
                                                 " of the peak at once; expected at most ", kLargestJump));
  });
}

}  // namespace detail

inline Report check_scheduler(const std::string& component, const Make<Scheduler>& make,
                              const std::string& options = "") {
  Checklist checks(component, options);
  detail::check_range(checks, make);
  detail::check_pure(checks, make);
  detail::check_continuous(checks, make);
  return checks.finish();
}

inline Report check(const std::string& component, const Factory<Scheduler>& factory) {
  return check_variants(component, factory, check_scheduler);
}

}  // namespace espalier::testkit
