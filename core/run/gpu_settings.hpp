// SPDX-License-Identifier: Apache-2.0
// How LibTorch computes on a GPU, said instead of left to its defaults.
#pragma once

#include <string>

namespace espalier {

enum class GpuAttention { flash, cudnn };

// What the environment variable ESPALIER_ATTENTION asks for; unset: flash. RecipeError for anything but "flash" and
// "cudnn".
GpuAttention wanted_attention();

// Before the first operation on the GPU:
//   attention      by the chosen kernels; where they take no mask (sliding windows) by the memory-efficient ones. Never
//                  by the path of plain matrix products, which needs memory for queries × keys: there is an error
//                  instead.
//   determinism    the same bytes on every run, but with cuDNN: its backward pass is not so, and LibTorch then asks
//                  none of the others to be; which is why flash is the default.
//
//   precision      float32 products are float32's (no TF32), sums inside bfloat16 products stay float32.
//
// Returns one line that says what was chosen.
std::string settle_gpu(GpuAttention attention);

}  // namespace espalier
