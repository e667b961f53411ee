// SPDX-License-Identifier: Apache-2.0
#include "kl.hpp"

#include <ATen/TensorOperators.h>

namespace espalier::plugins {

at::Tensor forward_kl(const at::Tensor& log_p, const at::Tensor& log_q) {
  // Summed from differences: where p ≈ q, two separate sums would cancel.
  return (log_p.exp() * (log_p - log_q)).sum(-1);
}

at::Tensor forward_kl_slope(at::Tensor& log_p, at::Tensor& log_q) {
  at::Tensor difference = log_p - log_q;
  log_p.exp_();
  at::Tensor loss = difference.mul_(log_p).sum(-1);
  log_q.exp_().sub_(log_p);
  return loss;
}

}  // namespace espalier::plugins
