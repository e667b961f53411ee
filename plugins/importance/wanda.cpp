// SPDX-License-Identifier: Apache-2.0
#include "wanda.hpp"

#include <ATen/TensorOperators.h>

#include "host_statistics.hpp"
#include "state.hpp"
#include "taps.hpp"

namespace espalier::plugins {

Needs WandaMetric::needs(const AxisInfo& axis) const {
  Needs needs{Evidence::activations, read_tap_of("wanda", axis)};
  needs.readers = true;
  return needs;
}

void WandaMetric::begin(const Site& site) {
  site_ = site;
  samples_ = zeros(1), squares_ = zeros(site.units * site.channels);
}

void WandaMetric::observe(const Observation& observation) {
  if (observation.readers.defined()) {
    readers_ = sum_readers(observation.readers, site_);
    return;
  }
  squares_ = squares_.to(observation.input.device());
  if (const auto statistics = host_statistics(observation.input)) {
    for (std::int64_t b = 0; b < statistics->size(0); ++b) squares_.add_(statistics->select(0, b).select(0, 1));
    samples_.add_(static_cast<double>(statistics->size(0)));
    return;
  }
  for (std::int64_t b = 0; b < observation.input.size(0); ++b) {  // sample by sample: see ActivationMetric
    const at::Tensor x = observation.input.select(0, b).flatten(1).to(at::kFloat);  // (tokens, units × channels)
    squares_.add_((x * x).sum(at::IntArrayRef({0}), false, at::kDouble));
    samples_.add_(1);
  }
}

at::Tensor WandaMetric::scores() const {
  ESPALIER_CHECK(readers_.square.defined(), "wanda was shown no readers");
  if (samples_.item<double>() == 0) throw Error("metric 'wanda' has no scores; got 0 samples; expected at least 1");
  const at::Tensor squares = squares_.to(readers_.square.device());
  if (!squared_) return over_channels(readers_.absolute * squares.sqrt(), site_);
  return (readers_.square * squares).view({site_.units, site_.channels}).sum(1).sqrt().to(at::kCPU, at::kFloat);
}

std::vector<at::Tensor> WandaMetric::state() const { return copy_state({samples_, squares_}); }

void WandaMetric::restore(const std::vector<at::Tensor>& state) {
  const std::vector<at::Tensor> checked = check_state("wanda", state, {samples_, squares_});
  samples_ = checked[0], squares_ = checked[1];
}

void WandaMetric::merge(const std::vector<at::Tensor>& later) {
  const std::vector<at::Tensor> checked = check_state("wanda", later, {samples_, squares_});
  samples_.add_(checked[0]), squares_.add_(checked[1].to(squares_.device()));
}

}  // namespace espalier::plugins
