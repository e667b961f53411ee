// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rate.hpp"

namespace espalier::plugins {

// Linear warm-up to `peak`, which then stays.
class ConstantScheduler final : public WarmedUpScheduler {
 public:
  using Options = PeakOptions;
  explicit ConstantScheduler(const Options& options) : WarmedUpScheduler(options.peak, options.warmup) {}

 protected:
  double after_warmup(const Position&) const override { return peak(); }
};

}  // namespace espalier::plugins
