// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include <ATen/ops/arange.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/TensorOperators.h>

#include "core/ops/ops.hpp"

namespace espalier {
namespace {

// (T, S), true where a query may look: itself and the window − 1 keys before it. The queries are the last T of the S
// positions.
at::Tensor window_mask(std::int64_t queries, std::int64_t keys, std::int64_t window, at::Device device) {
  const at::Tensor index = at::arange(keys, at::TensorOptions(at::kLong).device(device));
  const at::Tensor distance = index.narrow(0, keys - queries, queries).unsqueeze(1) - index.unsqueeze(0);
  return at::logical_and(distance >= 0, distance < window);
}

// The heads of a group stand as queries beside each other, (B, G, N/G · T, D), so that keys and values need not be
// repeated for each head: while text is generated they are by far the most there is to read.
at::Tensor attention_to_past(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             std::int64_t sliding_window) {
  const std::int64_t groups = k.size(1), heads = q.size(1) / groups, queries = q.size(2), keys = k.size(2);
  const at::Tensor beside = q.reshape({q.size(0), groups, heads * queries, q.size(3)});
  std::optional<at::Tensor> mask;
  const std::int64_t window = sliding_window > 0 ? std::min(sliding_window, keys) : keys;
  if (queries > 1 || window < keys) mask = window_mask(queries, keys, window, q.device()).repeat({heads, 1});
  return at::scaled_dot_product_attention(beside, k, v, mask).view(q.sizes());
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t sliding_window) {
  const std::int64_t positions = q.size(2);
  if (k.size(2) != positions) return attention_to_past(q, k, v, sliding_window);
  const bool grouped = q.size(1) != k.size(1);
  if (sliding_window <= 0 || positions <= sliding_window) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true, std::nullopt, grouped);
  }
  const at::Tensor mask = window_mask(positions, positions, sliding_window, q.device());
  return at::scaled_dot_product_attention(q, k, v, mask, 0.0, /*is_causal=*/false, std::nullopt, grouped);
}

}  // namespace espalier
