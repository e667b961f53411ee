// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"

namespace espalier::plugins {

// A metric whose score of a unit is a mean over what that unit was shown: sum and count for each unit, in float64.
class UnitMeans : public ImportanceMetric {
 public:
  void begin(const Site& site) override;
  at::Tensor scores() const final;
  std::vector<at::Tensor> state() const final;
  void restore(const std::vector<at::Tensor>& state) final;
  void merge(const std::vector<at::Tensor>& later) final;

 protected:
  virtual const char* name() const = 0;
  // "got a unit with 0 tokens; expected at least 1", when one was shown nothing.
  virtual const char* missing() const = 0;
  void add(std::int64_t unit, double sum, double count);
  void add(std::int64_t unit, const at::Tensor& sum, double count);

 private:
  at::Tensor sum_, count_;  // (units)
};

// Of what a probe of a unit (or of a run of units) shows: the mean over probes.
class ProbeMeans : public UnitMeans {
 public:
  Needs needs(const AxisInfo& axis) const final;

 protected:
  const char* missing() const final { return "got a unit that was never skipped; expected one probe of each"; }
};

}  // namespace espalier::plugins
