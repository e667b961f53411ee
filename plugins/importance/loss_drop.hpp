// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/options.hpp"
#include "unit_means.hpp"

namespace espalier::plugins {

// What the model loses without a unit: the calibration nll with the unit (or run of units) skipped, minus that of the
// whole model. Ranks as perplexity does. May be negative.
class LossDrop final : public ProbeMeans {
 public:
  using Options = NoOptions;
  explicit LossDrop(const Options&) {}
  void observe(const Observation& observation) override;

 protected:
  const char* name() const override { return "loss_drop"; }
};

}  // namespace espalier::plugins
