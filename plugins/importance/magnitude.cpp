// SPDX-License-Identifier: Apache-2.0
#include "magnitude.hpp"

#include <ATen/TensorOperators.h>

#include "state.hpp"

namespace espalier::plugins {

Needs MagnitudeMetric::needs(const AxisInfo&) const { return {Evidence::weights, Tap::none}; }

void MagnitudeMetric::begin(const Site& site) { sum_ = zeros(site.units); }

void MagnitudeMetric::observe(const Observation& observation) {
  const at::Tensor& weights = observation.input;  // (units, elements), or (1, elements) of one layer
  ESPALIER_CHECK(weights.dim() == 2, "magnitude ", weights.sizes());
  const at::Tensor wide = weights.to(at::kDouble);
  const at::Tensor part = (squared_ ? wide * wide : wide.abs()).sum(1).to(at::kCPU);
  if (part.size(0) == sum_.size(0)) {
    sum_.add_(part);
  } else {
    sum_.narrow(0, observation.unit, 1).add_(part);
  }
}

at::Tensor MagnitudeMetric::scores() const { return (squared_ ? sum_.sqrt() : sum_).to(at::kFloat); }

std::vector<at::Tensor> MagnitudeMetric::state() const { return copy_state({sum_}); }

void MagnitudeMetric::restore(const std::vector<at::Tensor>& state) {
  sum_ = check_state("magnitude", state, {sum_})[0];
}

void MagnitudeMetric::merge(const std::vector<at::Tensor>& later) {
  sum_.add_(check_state("magnitude", later, {sum_})[0]);
}

}  // namespace espalier::plugins
