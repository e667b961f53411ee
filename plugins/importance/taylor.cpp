// SPDX-License-Identifier: Apache-2.0
#include "taylor.hpp"

#include <ATen/TensorOperators.h>

#include "state.hpp"

namespace espalier::plugins {

Needs TaylorMetric::needs(const AxisInfo& axis) const {
  const bool layers = axis.dims.size() == 1 && axis.dims.front() == Dim::layers;
  if (!layers) return {Evidence::gradients, tap_of("taylor", axis, options_.tap)};
  if (options_.tap.empty()) return {Evidence::gradients, Tap::none};
  throw RecipeError(concat("tap of metric 'taylor' belongs to an axis of a width; got '", options_.tap, "' with axis '",
                           axis.name, "'; expected none"));
}

void TaylorMetric::begin(const Site& site) { samples_ = zeros(site.units), sum_ = zeros(site.units); }

void TaylorMetric::observe(const Observation& observation) {
  const bool layer = observation.output.defined();
  for (std::int64_t b = 0; b < observation.input.size(0); ++b) {  // sample by sample: see ActivationMetric
    const auto sample = [&](const at::Tensor& x) { return x.select(0, b).to(at::kFloat); };
    const at::Tensor gradient = sample(observation.gradient);
    if (layer) {  // (tokens, hidden)
      const at::Tensor change = sample(observation.output) - sample(observation.input);
      add((change * gradient).sum(at::IntArrayRef({0, 1}), true, at::kDouble).flatten(), observation.unit);
    } else {  // (tokens, units, channels)
      add((sample(observation.input) * gradient).sum(at::IntArrayRef({0, 2}), false, at::kDouble), 0);
    }
  }
}

void TaylorMetric::add(const at::Tensor& sample, std::int64_t first) {
  samples_ = samples_.to(sample.device()), sum_ = sum_.to(sample.device());  // once, with the first sample
  const std::int64_t count = sample.size(0);
  const at::Tensor part = options_.samples == "abs"      ? sample.abs()
                          : options_.samples == "square" ? sample * sample
                                                         : sample;
  samples_.narrow(0, first, count).add_(1);
  sum_.narrow(0, first, count).add_(part);
}

at::Tensor TaylorMetric::scores() const {
  const double fewest = samples_.numel() > 0 ? samples_.min().item<double>() : 1;
  if (fewest == 0) throw Error("metric 'taylor' has no scores; got a unit with 0 samples; expected at least 1");
  const at::Tensor mean = sum_ / samples_;
  return (options_.samples == "square" ? mean.sqrt() : mean.abs()).to(at::kCPU, at::kFloat);
}

std::vector<at::Tensor> TaylorMetric::state() const { return copy_state({samples_, sum_}); }

void TaylorMetric::restore(const std::vector<at::Tensor>& state) {
  const std::vector<at::Tensor> checked = check_state("taylor", state, {samples_, sum_});
  samples_ = checked[0], sum_ = checked[1];
}

void TaylorMetric::merge(const std::vector<at::Tensor>& later) {
  const std::vector<at::Tensor> checked = check_state("taylor", later, {samples_, sum_});
  samples_.add_(checked[0].to(samples_.device())), sum_.add_(checked[1].to(sum_.device()));
}

}  // namespace espalier::plugins
