// SPDX-License-Identifier: Apache-2.0
#include "kl.hpp"

#include <limits>

#include <ATen/ops/log_softmax.h>
#include <ATen/TensorOperators.h>

#include "row_blocks.hpp"

namespace espalier::plugins {
namespace {

// A column that both sides mask with −inf has log-probability −inf on both: 0 · (−inf − −inf) must be 0. With a finite
// floor it is, and a student that gives no mass where the teacher does still gets an enormous loss.
constexpr double kFloor = std::numeric_limits<float>::lowest();

at::Tensor log_probabilities(const at::Tensor& logits, double temperature) {
  return at::log_softmax(temperature == 1.0 ? logits : logits / temperature, -1);
}

}  // namespace

KlLoss::KlLoss(const Options& options)
    : temperature_(options.temperature), factor_(options.t_squared ? options.temperature * options.temperature : 1.0) {}

at::Tensor KlLoss::forward(const LogitRows& rows) const {
  const at::Tensor log_p = log_probabilities(rows.teacher, temperature_);
  const at::Tensor log_q = log_probabilities(rows.student, temperature_);
  // Summed from differences: where p ≈ q, two separate sums would cancel.
  return (log_p.exp() * (log_p.clamp_min(kFloor) - log_q.clamp_min(kFloor))).sum(-1) * factor_;
}

bool KlLoss::gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const {
  for_row_blocks(rows.student, [&](std::int64_t first, std::int64_t count) {
    at::Tensor p = log_probabilities(rows.teacher.narrow(0, first, count), temperature_).clamp_min_(kFloor);
    at::Tensor q = log_probabilities(rows.student.narrow(0, first, count), temperature_).clamp_min_(kFloor);
    at::Tensor difference = p - q;
    p.exp_();
    loss.narrow(0, first, count).copy_(difference.mul_(p).sum(-1).mul_(factor_));
    gradient.narrow(0, first, count).add_(q.exp_().sub_(p), scale * factor_ / temperature_);
  });
  return true;
}

}  // namespace espalier::plugins
