// SPDX-License-Identifier: Apache-2.0
#include "reverse_kl.hpp"

#include <ATen/TensorOperators.h>

namespace espalier::plugins {

at::Tensor reverse_kl(const at::Tensor& log_p, const at::Tensor& log_q) {
  return (log_q.exp() * (log_q - log_p)).sum(-1);
}

at::Tensor reverse_kl_slope(at::Tensor& log_p, at::Tensor& log_q) {
  at::Tensor difference = log_q - log_p;
  at::Tensor loss = through_softmax(difference, log_q.exp_());
  log_q.copy_(difference);
  return loss;
}

}  // namespace espalier::plugins
