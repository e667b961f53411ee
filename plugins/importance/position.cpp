// SPDX-License-Identifier: Apache-2.0
#include "position.hpp"

#include <algorithm>

#include <ATen/ops/empty.h>

#include "state.hpp"

namespace espalier::plugins {

Needs PositionMetric::needs(const AxisInfo& axis) const {
  require_layers("position", axis);
  return {};
}

void PositionMetric::begin(const Site& site) { units_ = site.units; }

void PositionMetric::observe(const Observation&) { ESPALIER_CHECK(false, "position observes nothing"); }

at::Tensor PositionMetric::scores() const {
  const std::int64_t first = std::min(options_.keep_first, units_), last = std::min(options_.keep_last, units_ - first);
  std::vector<std::int64_t> order;  // most important first
  for (std::int64_t unit = 0; unit < first; ++unit) order.push_back(unit);
  for (std::int64_t unit = units_ - 1; unit >= units_ - last; --unit) order.push_back(unit);
  for (std::int64_t unit = first; unit < units_ - last; ++unit) order.push_back(unit);
  if (options_.order == "late") std::reverse(order.begin() + first + last, order.end());
  at::Tensor scores = at::empty({units_}, at::kFloat);
  float* out = scores.mutable_data_ptr<float>();
  for (std::int64_t place = 0; place < units_; ++place) {
    out[order[static_cast<std::size_t>(place)]] = static_cast<float>(units_ - place);
  }
  return scores;
}

std::vector<at::Tensor> PositionMetric::state() const { return {}; }

void PositionMetric::restore(const std::vector<at::Tensor>& state) { check_state("position", state, {}); }

void PositionMetric::merge(const std::vector<at::Tensor>& later) { check_state("position", later, {}); }

}  // namespace espalier::plugins
