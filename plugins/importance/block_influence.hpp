// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/options.hpp"
#include "unit_means.hpp"

namespace espalier::plugins {

// How much a layer, or a part of one, turns the hidden state: the mean over tokens of 1 − cos(input, output). An
// identity scores 0.
class BlockInfluence final : public UnitMeans {
 public:
  using Options = NoOptions;
  explicit BlockInfluence(const Options&) {}
  Needs needs(const AxisInfo& axis) const override;
  void observe(const Observation& observation) override;

 protected:
  const char* name() const override { return "block_influence"; }
  const char* missing() const override { return "got a unit with 0 tokens; expected at least 1"; }
};

}  // namespace espalier::plugins
