// SPDX-License-Identifier: Apache-2.0
#include "loss_drop.hpp"

#include <ATen/TensorOperators.h>

#include "state.hpp"

namespace espalier::plugins {

Needs LossDrop::needs(const AxisInfo& axis) const {
  require_layers("loss_drop", axis);
  return {Evidence::probe, Tap::none};
}

void LossDrop::begin(const Site& site) { sum_ = zeros(site.units), count_ = zeros(site.units); }

void LossDrop::observe(const Observation& observation) {
  sum_.select(0, observation.unit).add_(observation.loss - observation.base_loss);
  count_.select(0, observation.unit).add_(1);
}

at::Tensor LossDrop::scores() const {
  const double fewest = count_.numel() > 0 ? count_.min().item<double>() : 1;
  if (fewest == 0)
    throw Error("metric 'loss_drop' has no scores; got a layer that was never skipped; expected one probe of each");
  return (sum_ / count_).to(at::kFloat);
}

std::vector<at::Tensor> LossDrop::state() const { return copy_state({sum_, count_}); }

void LossDrop::restore(const std::vector<at::Tensor>& state) {
  const std::vector<at::Tensor> checked = check_state("loss_drop", state, {sum_, count_});
  sum_ = checked[0], count_ = checked[1];
}

void LossDrop::merge(const std::vector<at::Tensor>& later) {
  const std::vector<at::Tensor> checked = check_state("loss_drop", later, {sum_, count_});
  sum_.add_(checked[0]), count_.add_(checked[1]);
}

}  // namespace espalier::plugins
