// SPDX-License-Identifier: Apache-2.0
#include "block_influence.hpp"

#include <ATen/TensorOperators.h>

#include "state.hpp"

namespace espalier::plugins {

Needs BlockInfluence::needs(const AxisInfo& axis) const {
  require_layers("block_influence", axis);
  return {Evidence::block_io, Tap::none};
}

void BlockInfluence::begin(const Site& site) { sum_ = zeros(site.units), tokens_ = zeros(site.units); }

void BlockInfluence::observe(const Observation& observation) {
  const std::int64_t layer = observation.layer;
  for (std::int64_t b = 0; b < observation.input.size(0); ++b) {  // sample by sample: see ActivationMetric
    const at::Tensor x = observation.input.select(0, b).to(at::kFloat),
                     y = observation.output.select(0, b).to(at::kFloat);
    const auto dot = [](const at::Tensor& u, const at::Tensor& v) { return (u * v).sum(-1).to(at::kDouble); };
    // The product of two float32 is exact in float64 and so is the root of a square: an identity gives exactly 1. A
    // zero vector has no direction; its cosine counts as 0.
    const at::Tensor cosine = dot(x, y) / (dot(x, x) * dot(y, y)).sqrt().clamp_min(1e-300);
    sum_.select(0, layer).add_((1 - cosine).sum().to(at::kCPU));
    tokens_.select(0, layer).add_(x.size(0));
  }
}

at::Tensor BlockInfluence::scores() const {
  const double fewest = tokens_.numel() > 0 ? tokens_.min().item<double>() : 1;
  if (fewest == 0)
    throw Error("metric 'block_influence' has no scores; got a layer with 0 tokens; expected at least 1");
  return (sum_ / tokens_).to(at::kFloat);
}

std::vector<at::Tensor> BlockInfluence::state() const { return copy_state({sum_, tokens_}); }

void BlockInfluence::restore(const std::vector<at::Tensor>& state) {
  const std::vector<at::Tensor> checked = check_state("block_influence", state, {sum_, tokens_});
  sum_ = checked[0], tokens_ = checked[1];
}

void BlockInfluence::merge(const std::vector<at::Tensor>& later) {
  const std::vector<at::Tensor> checked = check_state("block_influence", later, {sum_, tokens_});
  sum_.add_(checked[0]), tokens_.add_(checked[1]);
}

}  // namespace espalier::plugins
