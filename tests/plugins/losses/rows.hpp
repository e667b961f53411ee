// SPDX-License-Identifier: Apache-2.0
// Running a loss on rows of logits, by autograd and in closed form.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "espalier/sdk/loss.hpp"

namespace espalier {

inline const at::Tensor kNoLabels;

struct LossAndGradient {
  at::Tensor loss, gradient;  // (rows), (rows, vocab)
};

inline LossAndGradient closed_form(const LogitLoss& loss, const LogitRows& rows, double scale = 1.0) {
  LossAndGradient out{at::full({rows.student.size(0)}, 99.0, rows.student.options()), at::zeros_like(rows.student)};
  const at::NoGradGuard no_grad;
  if (!loss.gradient(rows, scale, out.loss, out.gradient)) throw Error("no closed form");
  return out;
}

inline LossAndGradient by_autograd(const LogitLoss& loss, const LogitRows& rows) {
  const at::AutoGradMode grad(true);
  const at::Tensor student = rows.student.detach().clone().requires_grad_();
  const at::Tensor value = loss.forward({student, rows.teacher, rows.labels});
  value.sum().backward();
  return {value.detach(), student.grad()};
}

// Central differences of forward(), entry by entry; float64 logits.
inline at::Tensor by_differences(const LogitLoss& loss, const LogitRows& rows, double step = 1e-5) {
  const at::NoGradGuard no_grad;
  at::Tensor gradient = at::zeros_like(rows.student);
  for (std::int64_t column = 0; column < rows.student.size(1); ++column) {
    at::Tensor up = rows.student.clone(), down = rows.student.clone();
    up.select(1, column).add_(step), down.select(1, column).sub_(step);
    gradient.select(1, column).copy_(
        (loss.forward({up, rows.teacher, rows.labels}) - loss.forward({down, rows.teacher, rows.labels})) / (2 * step));
  }
  return gradient;
}

inline double distance(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

}  // namespace espalier
