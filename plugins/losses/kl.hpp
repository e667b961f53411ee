// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/loss.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

struct KlOptions {
  double temperature;
  bool t_squared;
  template <class V>
  void fields(V& v) {
    v("temperature", temperature, 1.0, above(0.0), "divides both sides' logits before the softmax");
    v("t_squared", t_squared, true, any(),
      "multiply by temperature squared, so that the gradient keeps its size; changes nothing at temperature 1");
  }
};

// Forward KL, Σ p (log p − log q) with p = softmax(teacher/τ), q = softmax(student/τ); gradient (q − p)/τ.
class KlLoss final : public LogitLoss {
 public:
  using Options = KlOptions;
  explicit KlLoss(const Options& options);
  bool needs_teacher() const override { return true; }
  at::Tensor forward(const LogitRows& rows) const override;
  bool gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const override;

 private:
  double temperature_, factor_;  // factor: τ² or 1
};

}  // namespace espalier::plugins
