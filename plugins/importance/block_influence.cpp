// SPDX-License-Identifier: Apache-2.0
#include "block_influence.hpp"

#include <ATen/TensorOperators.h>

#include "state.hpp"

namespace espalier::plugins {

Needs BlockInfluence::needs(const AxisInfo& axis) const {
  require_layers(name(), axis);
  return {Evidence::block_io, Tap::none};
}

void BlockInfluence::observe(const Observation& observation) {
  for (std::int64_t b = 0; b < observation.input.size(0); ++b) {  // sample by sample: see ActivationMetric
    const at::Tensor x = observation.input.select(0, b).to(at::kFloat),
                     y = observation.output.select(0, b).to(at::kFloat);
    const auto dot = [](const at::Tensor& u, const at::Tensor& v) { return (u * v).sum(-1).to(at::kDouble); };
    // The product of two float32 is exact in float64 and so is the root of a square: an identity gives exactly 1. A
    // zero vector has no direction; its cosine counts as 0.
    const at::Tensor cosine = dot(x, y) / (dot(x, x) * dot(y, y)).sqrt().clamp_min(1e-300);
    add(observation.unit, (1 - cosine).sum(), static_cast<double>(x.size(0)));
  }
}

}  // namespace espalier::plugins
