// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "espalier/sdk/options.hpp"
#include "espalier/sdk/scheduler.hpp"

namespace espalier::plugins {

struct CosineOptions {
  double peak, min;
  std::int64_t warmup_steps, warmup_tokens;
  template <class V>
  void fields(V& v) {
    v("peak", peak, 1e-4, above(0.0), "the highest rate, reached with the last step of the warm-up");
    v("min", min, 1e-5, at_least(0.0), "the rate of the last step");
    v("warmup_steps", warmup_steps, 100, at_least(0.0), "steps of linear rise; the first one already moves");
    v("warmup_tokens", warmup_tokens, 0, at_least(0.0),
      "length of the rise in tokens, in place of warmup_steps; 0: in steps");
  }
  void validate(OptionSource& source) const;
};

// Linear warm-up to `peak`, then half a cosine down to `min`.
class CosineScheduler final : public Scheduler {
 public:
  using Options = CosineOptions;
  explicit CosineScheduler(const Options& options) : options_(options) {}
  double at(const Progress& progress) const override;

 private:
  Options options_;
};

}  // namespace espalier::plugins
