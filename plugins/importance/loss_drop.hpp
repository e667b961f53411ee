// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

// What the model loses without a layer: the calibration nll with the layer skipped, minus that of the whole model.
// Ranks as perplexity does. May be negative.
class LossDrop final : public ImportanceMetric {
 public:
  using Options = NoOptions;
  explicit LossDrop(const Options&) {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;  // parts of equal size: the mean of their differences

 private:
  at::Tensor sum_, count_;  // (layers) Σ of differences, and of how many probes
};

}  // namespace espalier::plugins
