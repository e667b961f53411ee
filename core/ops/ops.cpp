// SPDX-License-Identifier: Apache-2.0
#include "core/ops/ops.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace espalier {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& kept) {
  const at::Tensor square = x * x;
  const at::Tensor mean = kept.defined() ? (square * kept).sum(-1, true) / kept.sum() : square.mean(-1, true);
  return x * at::rsqrt(mean + eps) * weight;
}

at::Tensor layer_norm_1p(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps,
                         const at::Tensor& kept) {
  if (!kept.defined()) return at::layer_norm(x, weight.sizes(), weight + 1, bias, eps);
  const at::Tensor count = kept.sum();
  const at::Tensor centred = x - (x * kept).sum(-1, true) / count;
  const at::Tensor variance = (centred * centred * kept).sum(-1, true) / count;
  return centred * at::rsqrt(variance + eps) * (weight + 1) + bias;
}

Rotary rotary_table(const Rope& rope, std::int64_t head_dim, std::int64_t positions, at::ScalarType dtype,
                    at::Device device) {
  const auto rotary = static_cast<std::int64_t>(static_cast<double>(head_dim) * rope.partial);
  at::Tensor frequencies = at::empty({rotary / 2}, at::kDouble);
  for (std::int64_t i = 0; i < rotary / 2; ++i) {
    double f = std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotary));
    if (rope.type == "linear") f /= rope.factor;
    if (rope.type == "llama3") {
      const double wavelength = 2.0 * std::numbers::pi / f, original = static_cast<double>(rope.original_max_positions);
      if (wavelength > original / rope.low_freq_factor) {
        f /= rope.factor;
      } else if (wavelength >= original / rope.high_freq_factor) {
        const double s =
            (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        f *= (1.0 - s) / rope.factor + s;
      }
    }
    frequencies[i] = f;
  }
  const at::Tensor angles = at::outer(at::arange(positions, at::kDouble), frequencies).repeat({1, 2});
  return {angles.cos().to(device, dtype), angles.sin().to(device, dtype)};
}

at::Tensor rotate(const at::Tensor& x, const Rotary& rotary) {
  const std::int64_t width = rotary.cos.size(-1), half = width / 2;
  const at::Tensor part = x.narrow(-1, 0, width);
  const at::Tensor turned = at::cat({-part.narrow(-1, half, half), part.narrow(-1, 0, half)}, -1);
  const at::Tensor rotated = part * rotary.cos + turned * rotary.sin;
  return width == x.size(-1) ? rotated : at::cat({rotated, x.narrow(-1, width, x.size(-1) - width)}, -1);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t sliding_window) {
  const std::int64_t length = q.size(2);
  if (sliding_window <= 0 || sliding_window >= length)
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, std::nullopt, true);
  const at::Tensor mask = at::ones({length, length}, q.options().dtype(at::kBool)).tril().triu(1 - sliding_window);
  return at::scaled_dot_product_attention(q, k, v, mask, 0.0, false, std::nullopt, true);
}

at::Tensor mlp_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  const at::Tensor active = activation == Activation::silu ? at::silu(gate) : at::relu(gate).square();
  return up.defined() ? active * up : active;
}

}  // namespace espalier
