// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/arange.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/TensorOperators.h>

#include "core/ops/ops.hpp"

namespace espalier {
namespace {

// (T, T), true where a query may look: itself and the window − 1 keys before it.
at::Tensor window_mask(std::int64_t positions, std::int64_t window, at::Device device) {
  const at::Tensor index = at::arange(positions, at::TensorOptions(at::kLong).device(device));
  const at::Tensor distance = index.unsqueeze(1) - index.unsqueeze(0);
  return at::logical_and(distance >= 0, distance < window);
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t sliding_window) {
  const std::int64_t positions = q.size(2);
  const bool grouped = q.size(1) != k.size(1);
  if (sliding_window <= 0 || positions <= sliding_window) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true, std::nullopt, grouped);
  }
  const at::Tensor mask = window_mask(positions, sliding_window, q.device());
  return at::scaled_dot_product_attention(q, k, v, mask, 0.0, /*is_causal=*/false, std::nullopt, grouped);
}

}  // namespace espalier
