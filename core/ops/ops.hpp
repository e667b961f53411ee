// SPDX-License-Identifier: Apache-2.0
// The seam for kernels: what a decoder computes, in portable ATen, on CPU and GPU, differentiable.
// Shapes: B batch, T tokens, H hidden, N heads, G kv groups, D head_dim, F ffn, V vocab.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/spec.hpp"

namespace espalier {

// x (…, in), weight (out, in), bias (out) or undefined → x · weightᵀ + bias (…, out). The faster of the libraries that
// LibTorch brings for this CPU; on a given machine the same one always, but for small products in inference mode.
at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});
// a (M, K), b (K, N) → (M, N), by the same library.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);
// The same into `out` (M, N), or added to it. Without gradients. `out` has the operands' dtype or a wider one: the sums
// are then rounded to that alone where the device can, and to the operands' first elsewhere.
void product_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate);

// x (…, H) → x / sqrt(mean(x²) + eps) · weight. With `kept` (H, 0 or 1) the mean runs over the kept channels only, and
// the others come out as zero.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& kept = {});

// (x − mean)/sqrt(var + eps) · (weight + 1) + bias; with `kept`, mean and variance are those of the kept channels, and
// the others come out as zero.
at::Tensor layer_norm_1p(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps,
                         const at::Tensor& kept = {});

// A sum that goes on along the residual stream, and its norm.
struct NormedSum {
  at::Tensor sum, normed;
};
// x + branch, and rms_norm or layer_norm_1p of it, as one operation where a device has a kernel for it.
NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& branch, const at::Tensor& weight, double eps,
                       const at::Tensor& kept = {});
NormedSum add_layer_norm_1p(const at::Tensor& x, const at::Tensor& branch, const at::Tensor& weight,
                            const at::Tensor& bias, double eps, const at::Tensor& kept = {});

// cos and sin (positions, rotary), half-split layout: both halves are equal. Angles are computed as transformers does,
// in float32 (float64 when `dtype` is), and rounded to `dtype`.
struct Rotary {
  at::Tensor cos, sin;
};
Rotary rotary_table(const Rope& rope, std::int64_t head_dim, std::int64_t positions, at::ScalarType dtype,
                    at::Device device);
// x (B, N, T, D): the first `rotary` channels of each head are rotated, the rest passes. The table may be longer than
// T.
at::Tensor rotate(const at::Tensor& x, const Rotary& rotary);

// q (B, N, T, D), k and v (B, G, S, D) with S >= T → (B, N, T, D); causal; `sliding_window` keys at most (0: all);
// scale 1/sqrt(D). The queries are those of the last T of the S positions; a single one may be given its keys in any
// order.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t sliding_window);

// act(gate)·up; with an undefined `up`, act(gate) (an MLP without a gate).
at::Tensor mlp_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up);

}  // namespace espalier
