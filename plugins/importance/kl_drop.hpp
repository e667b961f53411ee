// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/options.hpp"
#include "unit_means.hpp"

namespace espalier::plugins {

// How far the predictions go without a unit (or run of units): the mean over calibration tokens of
// KL(whole model || unit skipped), in nats. Needs no labels: what the model itself says is right.
class KlDrop final : public ProbeMeans {
 public:
  using Options = NoOptions;
  explicit KlDrop(const Options&) {}
  void observe(const Observation& observation) override;

 protected:
  const char* name() const override { return "kl_drop"; }
};

}  // namespace espalier::plugins
