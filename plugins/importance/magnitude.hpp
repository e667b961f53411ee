// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

struct MagnitudeOptions {
  std::string norm;
  template <class V>
  void fields(V& v) {
    v("norm", norm, "l2", one_of({"l1", "l2"}), "norm of all weights that belong to a unit");
  }
};

// The size of a unit's weights, over every tensor that it has a share of. A baseline: it never sees data.
class MagnitudeMetric final : public ImportanceMetric {
 public:
  using Options = MagnitudeOptions;
  explicit MagnitudeMetric(const Options& options) : squared_(options.norm == "l2") {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  bool squared_;
  at::Tensor sum_;  // (units) Σ|w| or Σw²
};

}  // namespace espalier::plugins
