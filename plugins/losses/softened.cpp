// SPDX-License-Identifier: Apache-2.0
#include "softened.hpp"

#include <ATen/ops/log_softmax.h>
#include <ATen/TensorOperators.h>

#include "row_blocks.hpp"

namespace espalier::plugins {
namespace {

at::Tensor log_probabilities(const at::Tensor& logits, double temperature) {
  if (temperature == 1.0) return at::log_softmax(logits, -1);
  // A division by less than 1 could leave the range; the softmax does not see a shift.
  if (temperature < 1.0) return at::log_softmax((logits - logits.detach().amax(-1, true)) / temperature, -1);
  return at::log_softmax(logits / temperature, -1);
}

}  // namespace

SoftenedLoss::SoftenedLoss(const SoftenedOptions& options)
    : temperature_(options.temperature), factor_(options.t_squared ? options.temperature * options.temperature : 1.0) {}

at::Tensor SoftenedLoss::forward(const LogitRows& rows) const {
  const at::Tensor log_p = log_probabilities(rows.teacher, temperature_).clamp_min(kLogFloor);
  const at::Tensor log_q = log_probabilities(rows.student, temperature_).clamp_min(kLogFloor);
  return value(log_p, log_q) * factor_;
}

bool SoftenedLoss::gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const {
  for_row_blocks(rows.student, [&](std::int64_t first, std::int64_t count) {
    at::Tensor log_p = log_probabilities(rows.teacher.narrow(0, first, count), temperature_).clamp_min_(kLogFloor);
    at::Tensor log_q = log_probabilities(rows.student.narrow(0, first, count), temperature_).clamp_min_(kLogFloor);
    loss.narrow(0, first, count).copy_(slope(log_p, log_q).mul_(factor_));
    gradient.narrow(0, first, count).add_(log_q, scale * factor_ / temperature_);
  });
  return true;
}

at::Tensor through_softmax(at::Tensor& g, const at::Tensor& q) {
  const at::Tensor mean = (g * q).sum(-1, true);
  g.sub_(mean).mul_(q);
  return mean.squeeze(-1);
}

}  // namespace espalier::plugins
