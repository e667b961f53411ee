// SPDX-License-Identifier: Apache-2.0
// The proof that a student is what its plan says: every tensor is the teacher's kept part, bit for bit, and on real
// tokens every hidden state of the student equals the kept channels of the masked teacher's.
//
// The masked teacher has all its weights, with what the axes fold in. Its pruned units are multiplied by zero where
// they appear (taps, residual stream, q and k), its norms average over the kept channels only and the scale of
// attention counts only those, dropped layers and blocks are skipped. So the proof does not go through the code that
// slices and folds.
#pragma once

#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/prune/plan.hpp"

namespace espalier {

struct VerifyReport {
  std::vector<std::string> problems;  // empty: proved. The first names the first layer and tensor that differ.
  double largest_difference = 0.0;    // of hidden states, relative to the largest state of the layer
  std::int64_t tensors = 0, states = 0, tokens = 0;
  bool passed() const { return problems.empty(); }
};

// States are compared in float64. Two orders of summation then differ by about 1e-15 per operation; 1e-8 leaves room
// for depth and is far below anything a wrong index or norm does.
inline constexpr double kVerifyTolerance = 1e-8;

// Every tensor of the student against the teacher's; `dtype` conversion as the student was written.
void verify_tensors(const Checkpoint& teacher, const Plan& plan, const Checkpoint& student, VerifyReport& report);

// tokens (B, T) int64. Layer by layer, both models side by side: memory is two layers and two states.
void verify_states(const Checkpoint& teacher, const Plan& plan, const Checkpoint& student, const at::Tensor& tokens,
                   VerifyReport& report);

}  // namespace espalier
