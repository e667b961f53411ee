// SPDX-License-Identifier: Apache-2.0
// The chunked distillation head: from final hidden states to loss and gradients without ever holding tokens × vocab.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/train/trainer.hpp"

namespace espalier {

struct HeadInput {
  at::Tensor student_hidden;  // (rows, Hs), no grad needed: gradients are returned
  at::Tensor student_weight;  // (vocab, Hs)
  at::Tensor teacher_hidden;  // (rows, Ht) or undefined
  at::Tensor teacher_weight;  // (vocab, Ht) or undefined
  at::Tensor labels;          // (rows) int64; rows with -100 are dropped before any GEMM
  double scale = 1.0;         // 1 / unmasked tokens of the global batch
  std::int64_t chunk = 1024;  // rows of logits that exist at a time
};

struct HeadOutput {
  std::vector<double> losses;  // Σ over rows × scale of each loss, unweighted
  at::Tensor hidden_gradient;  // (rows, Hs), of the weighted sum
};

// Runs the losses over chunks of rows, with the gradient taken in the same sweep. Adds the weight's gradient to
// `weight_gradient` (vocab, Hs) float32.
HeadOutput distillation_head(const HeadInput& input, const std::vector<WeightedLoss>& losses,
                             at::Tensor& weight_gradient);

}  // namespace espalier
