// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <numbers>

#include "rate.hpp"

namespace espalier::plugins {

// Linear warm-up to `peak`, then half a cosine down to `min` at the last step.
class CosineScheduler final : public FallingScheduler {
 public:
  using Options = PeakToMinOptions;
  using FallingScheduler::FallingScheduler;

 protected:
  double height(const Position& position) const override {
    return 0.5 * (1.0 + std::cos(std::numbers::pi * position.share()));
  }
};

}  // namespace espalier::plugins
