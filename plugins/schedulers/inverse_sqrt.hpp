// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include "rate.hpp"

namespace espalier::plugins {

// Linear warm-up of w steps to `peak`, then peak · √(w / n) at step n, never below `min`. It does not know the run's
// end: a longer run goes on with the same curve. Without a warm-up w is 1.
class InverseSqrtScheduler final : public WarmedUpScheduler {
 public:
  using Options = PeakToMinOptions;
  explicit InverseSqrtScheduler(const Options& options)
      : WarmedUpScheduler(options.peak, options.warmup), min_(options.min) {}

 protected:
  double after_warmup(const Position& position) const override {
    return std::max(min_, peak() * std::sqrt(std::max(position.warmup, 1.0) / position.now));
  }

 private:
  double min_;
};

}  // namespace espalier::plugins
