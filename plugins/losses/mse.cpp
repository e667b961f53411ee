// SPDX-License-Identifier: Apache-2.0
#include "mse.hpp"

#include <ATen/TensorOperators.h>

namespace espalier::plugins {

at::Tensor MseLoss::value(const at::Tensor& log_p, const at::Tensor& log_q) const {
  return (log_q.exp() - log_p.exp()).square().mean(-1);
}

at::Tensor MseLoss::slope(at::Tensor& log_p, at::Tensor& log_q) const {
  log_q.exp_();
  at::Tensor difference = log_q - log_p.exp_();
  at::Tensor loss = difference.square().mean(-1);
  difference.mul_(2.0 / static_cast<double>(log_q.size(-1)));
  through_softmax(difference, log_q);
  log_q.copy_(difference);
  return loss;
}

}  // namespace espalier::plugins
