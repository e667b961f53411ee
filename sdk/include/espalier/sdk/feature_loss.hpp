// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {
inline namespace abi_2 {

// A hidden state of a model: the residual stream after a layer.
struct Feature {
  std::int64_t layer = -1;  // 0-based; -1: the embedding's output
  bool normed = true;       // through the norm that comes next in the model: the next block's, or the final one
  auto operator<=>(const Feature&) const = default;
};

struct FeaturePair {
  Feature student, teacher;
};

// What a loss on features compares, and what it trains meanwhile.
struct FeaturePlan {
  std::vector<FeaturePair> pairs;
  // Initial values of the loss's own tensors (projectors between widths), float32 on the CPU. The host trains them
  // beside the student, keeps them in its checkpoints and leaves them out of the export.
  std::vector<at::Tensor> parameters;
};

// One pair's token rows. The host decides how many; masked tokens are already gone. Valid during the call only.
struct FeatureRows {
  std::int64_t pair;                          // index into FeaturePlan::pairs
  const at::Tensor& student;                  // (rows, hidden of the student) float32
  const at::Tensor& teacher;                  // (rows, hidden of the teacher) float32, constant
  const std::vector<at::Tensor>& parameters;  // as they are now, on the rows' device
};

// A loss between hidden states. The training loss is the mean over all unmasked tokens of the global batch, summed over
// the pairs, times the recipe's weight. Stateless: rows may come in any number and in any order.
class ESPALIER_SDK_VISIBLE FeatureLoss {
 public:
  FeatureLoss() = default;
  FeatureLoss(const FeatureLoss&) = delete;
  FeatureLoss& operator=(const FeatureLoss&) = delete;
  virtual ~FeatureLoss() = default;

  // A function of the specs, the options and the host's seed. At least one pair.
  // Throws Error when these two models cannot be compared.
  virtual FeaturePlan plan(const ModelSpec& student, const ModelSpec& teacher) const = 0;

  // [grad mode as the caller set it] (rows) float32 loss of each row, differentiable in the student's rows and in the
  // parameters.
  virtual at::Tensor forward(const FeatureRows& rows) const = 0;
};

}  // namespace abi_2
}  // namespace espalier
