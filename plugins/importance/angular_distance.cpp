// SPDX-License-Identifier: Apache-2.0
#include "angular_distance.hpp"

#include <numbers>

#include <ATen/ops/atan2.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/TensorOperators.h>

#include "state.hpp"

namespace espalier::plugins {
namespace {

at::Tensor length(const at::Tensor& x) { return at::linalg_vector_norm(x, 2, at::IntArrayRef({-1}), /*keepdim=*/true); }

// (tokens, hidden) → rows of length 1. By the largest entry first, so that no square leaves float32; zeros stay.
at::Tensor directions(const at::Tensor& x) {
  const at::Tensor scaled = x / x.abs().amax(-1, /*keepdim=*/true).clamp_min(1e-37);
  return scaled / length(scaled).clamp_min(0.5);
}

}  // namespace

Needs AngularDistance::needs(const AxisInfo& axis) const {
  require_layers(name(), axis);
  Needs needs;
  needs.evidence = Evidence::block_io;
  needs.runs = true;
  return needs;
}

void AngularDistance::observe(const Observation& observation) {
  const std::int64_t tokens = observation.input.size(1), first = last_ ? tokens - 1 : 0;
  for (std::int64_t b = 0; b < observation.input.size(0); ++b) {  // sample by sample: see ActivationMetric
    const auto of_sample = [&](const at::Tensor& states) {
      return directions(states.select(0, b).narrow(0, first, tokens - first).to(at::kFloat));
    };
    const at::Tensor u = of_sample(observation.input), v = of_sample(observation.output);
    // arccos loses half of the digits near 1, where layers of deep models are; this form keeps them, and an identity
    // has exactly 0. A zero vector stands at a right angle to all others.
    const at::Tensor angle = 2 * at::atan2(length(u - v), length(u + v)).to(at::kDouble);
    add(observation.unit, angle.sum() / std::numbers::pi, static_cast<double>(tokens - first));
  }
}

}  // namespace espalier::plugins
