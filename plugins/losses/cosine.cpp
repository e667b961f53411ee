// SPDX-License-Identifier: Apache-2.0
#include "cosine.hpp"

#include <ATen/TensorOperators.h>

namespace espalier::plugins {
namespace {

// Of probabilities, never 0: at least 1/√vocab.
at::Tensor length(const at::Tensor& x) { return x.square().sum(-1, true).sqrt(); }

}  // namespace

at::Tensor CosineLoss::value(const at::Tensor& log_p, const at::Tensor& log_q) const {
  const at::Tensor p = log_p.exp(), q = log_q.exp();
  // 1 − c is half the squared distance of the two directions: that does not cancel where they agree.
  return (p / length(p) - q / length(q)).square().sum(-1) * 0.5;
}

at::Tensor CosineLoss::slope(at::Tensor& log_p, at::Tensor& log_q) const {
  at::Tensor p = log_p.exp_(), q = log_q.exp_();
  const at::Tensor q_length = length(q);
  p.div_(length(p));
  const at::Tensor q_direction = q / q_length;
  at::Tensor loss = (p - q_direction).square_().sum(-1).mul_(0.5);
  // c q̂ − p̂ = (q̂ − p̂) − ℓ q̂
  at::Tensor g = (q_direction - p).sub_(q_direction * loss.unsqueeze(-1)).div_(q_length);
  through_softmax(g, q);
  log_q.copy_(g);
  return loss;
}

}  // namespace espalier::plugins
