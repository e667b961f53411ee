// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "espalier/sdk/spec.hpp"

namespace espalier {
inline namespace abi_2 {

// A chunk of token rows. The host decides how many; masked tokens are already gone. Valid during the call only.
struct LogitRows {
  const at::Tensor& student;  // (rows, vocab) float32
  const at::Tensor& teacher;  // (rows, vocab) float32, constant; undefined when no loss of the recipe asks for it
  const at::Tensor& labels;   // (rows) int64, the next token
};

// A loss between rows of logits. The training loss is the mean over all unmasked tokens of the global batch, times the
// recipe's weight. Stateless: rows may come in any number and in any order.
class ESPALIER_SDK_VISIBLE LogitLoss {
 public:
  LogitLoss() = default;
  LogitLoss(const LogitLoss&) = delete;
  LogitLoss& operator=(const LogitLoss&) = delete;
  virtual ~LogitLoss() = default;

  virtual bool needs_teacher() const = 0;

  // [grad mode as the caller set it] (rows) float32 loss of each row, differentiable in the student's logits.
  virtual at::Tensor forward(const LogitRows& rows) const = 0;

  // Optional closed form [no grad]: writes the rows' losses into `loss` (rows), adds scale × dloss/dstudent to
  // `gradient` (rows, vocab) and returns true. The default returns false, and the host differentiates forward().
  virtual bool gradient(const LogitRows& rows, double scale, at::Tensor& loss, at::Tensor& gradient) const;
};

// A row's loss as kl · KL(softmax(teacher/temperature) ‖ softmax(student/temperature)) + cross_entropy ·
// −log softmax(student)[label].
struct KlCeMix {
  double temperature = 1.0;
  double kl = 0.0, cross_entropy = 0.0;
};

// Optional second base of a LogitLoss that is such a mix, always. A host that has one fused pass over both rows of
// logits (on a GPU) computes it by that instead of gradient(), together with the recipe's other mixes.
class ESPALIER_SDK_VISIBLE KlCeMixLoss {
 public:
  KlCeMixLoss() = default;
  KlCeMixLoss(const KlCeMixLoss&) = delete;
  KlCeMixLoss& operator=(const KlCeMixLoss&) = delete;
  virtual ~KlCeMixLoss() = default;

  // With kl = 0 the loss needs no teacher.
  virtual KlCeMix mix() const = 0;
};

inline bool LogitLoss::gradient(const LogitRows&, double, at::Tensor&, at::Tensor&) const { return false; }

}  // namespace abi_2
}  // namespace espalier
