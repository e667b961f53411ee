// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "rate.hpp"

namespace espalier::plugins {

struct PolynomialOptions : PeakToMinOptions {
  double power;
  template <class V>
  void fields(V& v) {
    PeakToMinOptions::fields(v);
    v("power", power, 2.0, above(0.0), "of the share of the run that is left; 1 is a straight line");
  }
};

// Linear warm-up to `peak`, then min + (peak − min) (1 − share)^power, which is `min` at the last step.
class PolynomialScheduler final : public FallingScheduler {
 public:
  using Options = PolynomialOptions;
  explicit PolynomialScheduler(const Options& options) : FallingScheduler(options), power_(options.power) {}

 protected:
  double height(const Position& position) const override { return std::pow(1.0 - position.share(), power_); }

 private:
  double power_;
};

}  // namespace espalier::plugins
