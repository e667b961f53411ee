// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace espalier {

// x (samples, tokens, channels) → (samples, 4, channels) float64: over each sample's tokens Σ|x|, Σx², mean and
// Σ(x − mean)² of every channel. One read of x on a device with kernels.
at::Tensor channel_statistics(const at::Tensor& x);

// x.index_select(dim, index), without gradients.
at::Tensor gathered(const at::Tensor& x, std::int64_t dim, const at::Tensor& index);

}  // namespace espalier
