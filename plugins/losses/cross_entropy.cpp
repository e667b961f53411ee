// SPDX-License-Identifier: Apache-2.0
#include "cross_entropy.hpp"

#include <ATen/ops/log_softmax.h>

#include "row_blocks.hpp"

namespace espalier::plugins {

at::Tensor CrossEntropyLoss::forward(const LogitRows& rows) const {
  return at::log_softmax(rows.student, -1).gather(-1, rows.labels.unsqueeze(-1)).squeeze(-1).neg();
}

bool CrossEntropyLoss::gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const {
  for_row_blocks(rows.student, [&](std::int64_t first, std::int64_t count) {
    at::Tensor q = at::log_softmax(rows.student.narrow(0, first, count), -1);
    const at::Tensor labels = rows.labels.narrow(0, first, count).unsqueeze(-1);
    const at::Tensor picked = q.gather(-1, labels);
    loss.narrow(0, first, count).copy_(picked.squeeze(-1).neg());
    // The label's own entry is q − 1: from expm1, which keeps its digits where q is almost 1.
    q.exp_().scatter_(-1, labels, picked.expm1());
    gradient.narrow(0, first, count).add_(q, scale);
  });
  return true;
}

}  // namespace espalier::plugins
