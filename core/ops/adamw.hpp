// SPDX-License-Identifier: Apache-2.0
// AdamW over one tensor, with a float32 master that need not be stored as such.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace espalier {

// w ← w·(1 − lr·decay);  m ← β1·m + (1 − β1)·g;  v ← β2·v + (1 − β2)·g²
// w ← w − lr/(1 − β1^step) · m / (sqrt(v)/sqrt(1 − β2^step) + eps),   g = gradient·factor
// (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2). In float32, in this order, without
// contraction: the CPU and a GPU give the same bits. w is one of
//   master        float32
//   weight, rest  bfloat16 and int16: together a float32, to the last bit (see split() of arithmetic/adamw.hpp)
// All tensors are contiguous and have the same number of elements.
struct AdamWUpdate {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0;
  std::int64_t step = 1;            // counts from 1
  at::Tensor master, weight, rest;  // those of the form
  at::Tensor gradient;              // float32 or bfloat16
  at::Tensor first, second;         // m and v: both float32 or both bfloat16
  double factor = 1;                // of the gradient: clipping
};
void adamw_update(const AdamWUpdate& update);

// A float32 tensor to (bfloat16, int16) and back, exactly. `weight` is the nearest bfloat16, ties away from zero; NaN
// stays NaN.
void split_master(const at::Tensor& master, at::Tensor& weight, at::Tensor& rest);
at::Tensor joined_master(const at::Tensor& weight, const at::Tensor& rest);

}  // namespace espalier
