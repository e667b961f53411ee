// SPDX-License-Identifier: Apache-2.0
#include "unit_means.hpp"

#include <ATen/TensorOperators.h>

#include "state.hpp"

namespace espalier::plugins {

void UnitMeans::begin(const Site& site) { sum_ = zeros(site.units), count_ = zeros(site.units); }

void UnitMeans::add(std::int64_t unit, double sum, double count) {
  sum_.select(0, unit).add_(sum), count_.select(0, unit).add_(count);
}

void UnitMeans::add(std::int64_t unit, const at::Tensor& sum, double count) {
  sum_ = sum_.to(sum.device());  // moves once, with the first sum; fetching each would wait for the device each time
  sum_.select(0, unit).add_(sum), count_.select(0, unit).add_(count);
}

at::Tensor UnitMeans::scores() const {
  const double fewest = count_.numel() > 0 ? count_.min().item<double>() : 1;
  if (fewest == 0) throw Error(concat("metric '", name(), "' has no scores; ", missing()));
  return (sum_.to(at::kCPU) / count_).to(at::kFloat);
}

std::vector<at::Tensor> UnitMeans::state() const { return copy_state({sum_, count_}); }

void UnitMeans::restore(const std::vector<at::Tensor>& state) {
  const std::vector<at::Tensor> checked = check_state(name(), state, {sum_, count_});
  sum_ = checked[0], count_ = checked[1];
}

void UnitMeans::merge(const std::vector<at::Tensor>& later) {
  const std::vector<at::Tensor> checked = check_state(name(), later, {sum_, count_});
  sum_.add_(checked[0].to(sum_.device())), count_.add_(checked[1]);
}

Needs ProbeMeans::needs(const AxisInfo& axis) const {
  require_layers(name(), axis);
  Needs needs;
  needs.evidence = Evidence::probe;
  needs.runs = true;
  return needs;
}

}  // namespace espalier::plugins
