// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/loss.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

// −log softmax(student)[label]; gradient softmax(student) − onehot(label). Needs no teacher.
class CrossEntropyLoss final : public LogitLoss, public KlCeMixLoss {
 public:
  using Options = NoOptions;
  explicit CrossEntropyLoss(const Options&) {}
  bool needs_teacher() const override { return false; }
  at::Tensor forward(const LogitRows& rows) const override;
  KlCeMix mix() const override { return {.temperature = 1.0, .kl = 0.0, .cross_entropy = 1.0}; }
  bool gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const override;
};

}  // namespace espalier::plugins
