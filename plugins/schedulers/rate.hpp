// SPDX-License-Identifier: Apache-2.0
// What all schedulers share: the linear warm-up to a peak, how far the run is after it, and the rate of the end.
#pragma once

#include <cmath>
#include <cstdint>

#include "espalier/sdk/options.hpp"
#include "espalier/sdk/scheduler.hpp"

namespace espalier::plugins {

// Where the step that comes next stands. It is number `now` of 1 … steps: the first one is not wasted on a rate of 0,
// and the last one ends the schedule.
struct Position {
  double now, warmup, steps;  // warmup: its length in steps, which need not be whole

  // From 0 at the end of the warm-up, or at `start` when that is later, to 1 at the last step.
  double share_after(double start) const;
  double share() const { return share_after(warmup); }
};

struct Warmup {
  std::int64_t steps, tokens;
  template <class V>
  void fields(V& v, std::int64_t fallback_steps) {
    v("warmup_steps", steps, fallback_steps, at_least(0.0), "steps of linear rise; the first one already moves");
    v("warmup_tokens", tokens, 0, at_least(0.0), "length of the rise in tokens, in place of warmup_steps; 0: in steps");
  }
};

struct PeakOptions {
  double peak;
  Warmup warmup;
  template <class V>
  void fields(V& v) {
    v("peak", peak, 1e-4, above(0.0), "the rate after the warm-up");
    warmup.fields(v, 0);
  }
};

struct PeakToMinOptions {
  double peak, min;
  Warmup warmup;
  template <class V>
  void fields(V& v) {
    v("peak", peak, 1e-4, above(0.0), "the highest rate, reached with the last step of the warm-up");
    v("min", min, 1e-5, at_least(0.0), "the lowest rate after the warm-up");
    warmup.fields(v, 100);
  }
  void validate(OptionSource& source) const;
};

// A schedule that starts with the warm-up; a derived class says what comes then.
class WarmedUpScheduler : public Scheduler {
 public:
  WarmedUpScheduler(double peak, const Warmup& warmup) : peak_(peak), warmup_(warmup) {}
  double at(const Progress& progress) const override;

 protected:
  double peak() const { return peak_; }
  // Called from the end of the warm-up on.
  virtual double after_warmup(const Position& position) const = 0;

 private:
  Position position(const Progress& progress) const;
  double peak_;
  Warmup warmup_;
};

// One that falls from the peak to `min`; a derived class gives the shape.
class FallingScheduler : public WarmedUpScheduler {
 public:
  explicit FallingScheduler(const PeakToMinOptions& options)
      : WarmedUpScheduler(options.peak, options.warmup), min_(options.min) {}

 protected:
  double after_warmup(const Position& position) const override { return std::lerp(min_, peak(), height(position)); }
  // What is left of the way from min to peak: 1 at the end of the warm-up, 0 at min.
  virtual double height(const Position& position) const = 0;

 private:
  double min_;
};

}  // namespace espalier::plugins
