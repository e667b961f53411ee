// SPDX-License-Identifier: Apache-2.0
#include "hidden_cosine.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/TensorOperators.h>

namespace espalier::plugins {
namespace {

at::Tensor direction(const at::Tensor& x) {
  // The row of a padding token may be all zeros: divided by almost nothing its gradient would drown all others.
  constexpr double kNone = 1e-8;
  const at::Tensor length = at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true);
  return x / at::where(length.gt(kNone), length, at::ones_like(length));
}

}  // namespace

at::Tensor HiddenCosineLoss::compare(const at::Tensor& u, const at::Tensor& v) const {
  // 1 − c is half the squared distance of the two directions: that does not cancel where they agree.
  return (direction(u) - direction(v)).square().sum(-1) * 0.5;
}

}  // namespace espalier::plugins
