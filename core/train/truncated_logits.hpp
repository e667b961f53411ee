// SPDX-License-Identifier: Apache-2.0
// Rows of logits of which only the largest are kept. The mass of the others is kept as one number and spread evenly
// over them, so that whole rows can be made again and every loss on logits works as it does beside a living teacher.
//
// At temperature 1 the mass of the tail is exact. A loss that takes the kept tokens one by one and the rest as one
// class (topk_kl with tail = "bucket" and no larger k) therefore sees exactly what the teacher says; a loss that looks
// into the tail sees it even.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace espalier {

struct TruncatedLogits {  // R rows, k tokens kept of each
  at::Tensor values;      // (R, k) log-probabilities, largest first, in the dtype that they are stored in
  at::Tensor indices;     // (R, k) int16 where the vocabulary fits, else int32
  at::Tensor tail;        // (R) float32: the log-probability of each token that is not kept
  at::Tensor normalizer;  // (R) float32: log Σ exp of the logits, which makes logits of log-probabilities again
  bool defined() const { return values.defined(); }
};

at::ScalarType index_type(std::int64_t vocab);

// logits (R, V) float32; 1 ≤ k < V. Ties go where the sort puts them; it is the same one every time.
TruncatedLogits truncate(const at::Tensor& logits, std::int64_t k, at::ScalarType dtype);

// Writes whole rows into `logits` (R, V) float32, on its device.
void expand(const TruncatedLogits& kept, at::Tensor& logits);

// What a row has lost: the teacher's mass outside the kept tokens, and KL(p || p') in nats, where p is the teacher's
// distribution at temperature 1 and p' what the losses are shown in its place, rounding included. A student that
// learnt p' perfectly is that far from its teacher.
struct RowLoss {
  at::Tensor tail_mass, kl;  // (R) float64 each
};
RowLoss lost(const at::Tensor& logits, const TruncatedLogits& kept);
at::Tensor divergence(const at::Tensor& logits, const at::Tensor& shown);  // KL(p || p') (R) float64 of two (R, V)

}  // namespace espalier
