// SPDX-License-Identifier: Apache-2.0
#include "jsd.hpp"

#include <utility>

#include <ATen/ops/expm1.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/where.h>
#include <ATen/TensorOperators.h>

#include "kl.hpp"
#include "reverse_kl.hpp"

namespace espalier::plugins {
namespace {

// log(p/m) and log(q/m) from d = log p − log q: −log(β + (1 − β) e^−d) where d ≥ 0, −log(1 − β + β e^d) where not, and
// the other one is d away. Never an exponential above 1, and all digits where p ≈ q.
std::pair<at::Tensor, at::Tensor> over_mixture(const at::Tensor& d, double beta) {
  const at::Tensor positive = d.ge(0), up = d.clamp_min(0), down = d.clamp_max(0);
  const at::Tensor of_p = at::log1p(at::expm1(-up) * (1.0 - beta)).neg(),
                   of_q = at::log1p(at::expm1(down) * beta).neg();
  return {at::where(positive, of_p, of_q + down), at::where(positive, of_p - up, of_q)};
}

}  // namespace

void JsdOptions::validate(OptionSource& source) const {
  constexpr double kEdge = 1e-6;  // float32 has few digits of β or 1 − β left below, and the loss none
  if (beta == 0.0 || beta == 1.0 || (beta >= kEdge && beta <= 1.0 - kEdge)) return;
  source.problem("beta", "beta is too near an end", to_text(Value{beta}), "0, 1, or a real from 1e-6 to 0.999999");
}

at::Tensor JsdLoss::value(const at::Tensor& log_p, const at::Tensor& log_q) const {
  if (beta_ == 0.0) return forward_kl(log_p, log_q);
  if (beta_ == 1.0) return reverse_kl(log_p, log_q);
  const auto [of_p, of_q] = over_mixture(log_p - log_q, beta_);
  return (log_p.exp() * of_p * beta_ + log_q.exp() * of_q * (1.0 - beta_)).sum(-1);
}

at::Tensor JsdLoss::slope(at::Tensor& log_p, at::Tensor& log_q) const {
  if (beta_ == 0.0) return forward_kl_slope(log_p, log_q);
  if (beta_ == 1.0) return reverse_kl_slope(log_p, log_q);
  auto [of_p, of_q] = over_mixture(log_p - log_q, beta_);
  at::Tensor loss = of_p.mul_(log_p.exp_()).sum(-1).mul_(beta_);
  loss.add_(through_softmax(of_q, log_q.exp_()), 1.0 - beta_);
  log_q.copy_(of_q.mul_(1.0 - beta_));
  return loss;
}

}  // namespace espalier::plugins
