// SPDX-License-Identifier: Apache-2.0
// What losses between the two softened distributions share: the temperature, and how a gradient comes back through it.
#pragma once

#include <ATen/core/Tensor.h>

#include "espalier/sdk/loss.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

// A column that both sides mask with −inf has log-probability −inf on both: 0 · (−inf − −inf) must be 0. With a finite
// floor it is, and a side that gives no mass where the other does still gets an enormous loss. Far enough from the end
// of float32's range for a difference of differences, divided by a small temperature, to stay in it.
inline constexpr double kLogFloor = -1e30;

struct SoftenedOptions {
  double temperature;
  bool t_squared;
  template <class V>
  void fields(V& v) {
    v("temperature", temperature, 1.0, above(0.0), "divides both sides' logits before the softmax");
    v("t_squared", t_squared, true, any(),
      "multiply by temperature squared, so that the gradient keeps its size; changes nothing at temperature 1");
  }
};

// A loss between p = softmax(teacher/τ) and q = softmax(student/τ), times τ² when the options say so. A derived class
// sees log p and log q (rows, vocab), never below kLogFloor.
class SoftenedLoss : public LogitLoss {
 public:
  explicit SoftenedLoss(const SoftenedOptions& options);
  bool needs_teacher() const override { return true; }
  at::Tensor forward(const LogitRows& rows) const override;
  bool gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const override;

 protected:
  // (rows) losses, differentiable in log_q.
  virtual at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const = 0;
  // [no grad] The same losses; leaves in `log_q` their derivatives by student/τ. May overwrite `log_p`.
  virtual at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const = 0;

  const double temperature_, factor_;  // factor: τ² or 1
};

// Turns derivatives g by the probabilities q into derivatives by the logits, q (g − Σ q g), in place; returns Σ q g of
// each row.
at::Tensor through_softmax(at::Tensor& g, const at::Tensor& q);

}  // namespace espalier::plugins
