// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rate.hpp"

namespace espalier::plugins {

// Linear warm-up to `peak`, then a straight line down to `min` at the last step.
class LinearScheduler final : public FallingScheduler {
 public:
  using Options = PeakToMinOptions;
  using FallingScheduler::FallingScheduler;

 protected:
  double height(const Position& position) const override { return 1.0 - position.share(); }
};

}  // namespace espalier::plugins
