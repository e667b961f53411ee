// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "espalier/sdk/options.hpp"
#include "espalier/sdk/scheduler.hpp"

namespace espalier::plugins {

struct ConstantOptions {
  double peak;
  std::int64_t warmup_steps;
  template <class V>
  void fields(V& v) {
    v("peak", peak, 1e-4, above(0.0), "the rate after the warm-up");
    v("warmup_steps", warmup_steps, 0, at_least(0.0), "steps of linear rise; the first one already moves");
  }
};

// Linear warm-up to `peak`, which then stays.
class ConstantScheduler final : public Scheduler {
 public:
  using Options = ConstantOptions;
  explicit ConstantScheduler(const Options& options) : options_(options) {}
  double at(const Progress& progress) const override;

 private:
  Options options_;
};

}  // namespace espalier::plugins
