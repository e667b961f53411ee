// SPDX-License-Identifier: Apache-2.0
// The row pass of the distillation head: forward KL, cross entropy and their gradient from two rows of logits.
#pragma once

#include <ATen/core/Tensor.h>

namespace espalier {

// For each row, with p = softmax(teacher/τ), q = softmax(student/τ), s = softmax(student):
//   kl = Σ p (ln p − ln q),  ce = −ln s[label]
//   gradient (+)= kl_scale·(q − p)/τ + ce_scale·(s − onehot(label))
// A column that the teacher masks with −inf counts nothing; one that only the student masks costs 1e30·p instead of
// infinity. Without a teacher to compare with, `student` may stand for it: kl is 0 then.
struct KlRows {
  double temperature = 1, kl_scale = 0, ce_scale = 0;
  at::Tensor student, teacher;  // (rows, vocab) float32, or float64
  at::Tensor labels;            // (rows) int64, with `ce`
  at::Tensor kl;                // (rows) float32, written
  at::Tensor ce;                // (rows) float32, written; undefined: no cross entropy
  at::Tensor gradient;          // (rows, vocab), float32 or narrower; may be `student` itself. Undefined: none
  bool accumulate = false;      // add to `gradient`
};
void kl_rows(const KlRows& rows);

}  // namespace espalier
