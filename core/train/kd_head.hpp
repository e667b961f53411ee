// SPDX-License-Identifier: Apache-2.0
// The chunked distillation head: from final hidden states to loss and gradients without ever holding tokens × vocab.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/train/fused_losses.hpp"
#include "core/train/truncated_logits.hpp"

namespace espalier {

struct HeadInput {
  at::Tensor student_hidden;     // (rows, Hs), no grad needed: gradients are returned
  at::Tensor student_weight;     // (vocab, Hs)
  at::Tensor teacher_hidden;     // (rows, Ht) or undefined
  at::Tensor teacher_weight;     // (vocab, Ht) or undefined
  TruncatedLogits teacher_kept;  // instead of both: what was kept of the teacher's logits, one row each
  at::Tensor labels;             // (rows) int64
  at::Tensor kept;               // int64 indices of the rows that count, the others are dropped; undefined: all
  double scale = 1.0;            // 1 / unmasked tokens of the global batch
  std::int64_t chunk = 1024;     // rows of logits that exist at a time
};

struct HeadOutput {
  at::Tensor losses;           // (losses) float64 on the device: Σ over rows × scale of each, unweighted
  at::Tensor hidden_gradient;  // (rows, Hs), of the weighted sum; 0 in dropped rows
};

// The buffers of a chunk, each (chunk, vocab) or smaller: float32, the gradient of the products' dtype where all losses
// are fused. A loop that lends the same workspace to every call takes this memory from the system once. Holds nothing
// between calls.
struct HeadWorkspace {
  at::Tensor student_logits, teacher_logits, gradient, row_losses;
};

// Runs the losses over chunks of rows, with the gradient taken in the same sweep; where the device has a kernel for it,
// mixes of forward KL and cross entropy in one pass. Adds the weight's gradient to `weight_gradient` (vocab, Hs)
// float32. Logits, losses and gradients are float32 whatever the inputs are (float64 when the student is float64). The
// teacher's logits are computed only when a loss needs them. Throws Error when student and teacher have different
// vocabularies.
HeadOutput distillation_head(const HeadInput& input, const std::vector<WeightedLoss>& losses,
                             at::Tensor& weight_gradient, HeadWorkspace* workspace = nullptr);

// hidden (rows, H) times weightᵀ (H, vocab) into `logits` (rows, vocab), as the head computes them: float32 sums and
// results where the device can, whatever the operands are.
void head_logits(at::Tensor& logits, const at::Tensor& hidden, const at::Tensor& weight);

// Rows of logits that make a good chunk for a vocabulary on a device: coarse enough for the GEMMs and for the traffic
// on the weight's gradient, fine enough for caches and memory.
std::int64_t default_head_chunk(std::int64_t vocab, at::Device device);

// Of those, the rows that a loss is shown at a time when it is not fused: on a GPU few enough to bound what it makes
// for itself.
std::int64_t loss_rows(std::int64_t vocab, at::Device device);

}  // namespace espalier
