// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

// How much a layer turns the hidden state: the mean over tokens of 1 − cos(input, output). An identity scores 0.
class BlockInfluence final : public ImportanceMetric {
 public:
  using Options = NoOptions;
  explicit BlockInfluence(const Options&) {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  at::Tensor sum_, tokens_;  // (layers) Σ(1 − cos) and how many tokens
};

}  // namespace espalier::plugins
