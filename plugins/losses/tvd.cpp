// SPDX-License-Identifier: Apache-2.0
#include "tvd.hpp"

#include <ATen/TensorOperators.h>

namespace espalier::plugins {

at::Tensor TvdLoss::value(const at::Tensor& log_p, const at::Tensor& log_q) const {
  return (log_q.exp() - log_p.exp()).abs().sum(-1) * 0.5;
}

at::Tensor TvdLoss::slope(at::Tensor& log_p, at::Tensor& log_q) const {
  log_q.exp_();
  at::Tensor difference = log_q - log_p.exp_();
  at::Tensor loss = difference.abs().sum(-1).mul_(0.5);
  difference.sign_().mul_(0.5);
  through_softmax(difference, log_q);
  log_q.copy_(difference);
  return loss;
}

}  // namespace espalier::plugins
