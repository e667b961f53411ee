// SPDX-License-Identifier: Apache-2.0
// Norms by a device's kernels, differentiable.
#pragma once

#include <optional>

#include "core/ops/ops.hpp"

namespace espalier {

struct NormKind {
  bool centred = false;  // LayerNorm, else RMSNorm
  double eps = 0, offset = 0;
};

// norm(x + branch) and the sum, by kernels; with an undefined `branch` the sum is x. nullopt when there are no kernels
// for these tensors.
std::optional<NormedSum> device_norm(const NormKind& kind, const at::Tensor& x, const at::Tensor& branch,
                                     const at::Tensor& weight, const at::Tensor& bias);

}  // namespace espalier
