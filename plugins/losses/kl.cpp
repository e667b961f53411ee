// SPDX-License-Identifier: Apache-2.0
#include "kl.hpp"

#include <ATen/TensorOperators.h>

#include "host_kernels.hpp"

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

bool KlLoss::gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const {
  if (!host_kl_rows(rows.student, rows.teacher, temperature_, scale * factor_, loss, gradient)) {
    return SoftenedLoss::gradient(rows, scale, loss, gradient);
  }
  if (factor_ != 1.0) loss.mul_(factor_);
  return true;
}

}  // namespace espalier::plugins
