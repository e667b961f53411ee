// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

// Uniform in [0, 1), from the site's seed alone. The baseline that every metric must beat.
class RandomMetric final : public ImportanceMetric {
 public:
  using Options = NoOptions;
  explicit RandomMetric(const Options&) {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  Site site_;
};

}  // namespace espalier::plugins
