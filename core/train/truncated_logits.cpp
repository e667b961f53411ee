// SPDX-License-Identifier: Apache-2.0
#include "core/train/truncated_logits.hpp"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>

namespace espalier {

// Shape letters: R rows, V vocabulary, K tokens kept.

at::ScalarType index_type(std::int64_t vocab) {
  return vocab - 1 <= std::numeric_limits<std::int16_t>::max() ? at::kShort : at::kInt;
}

TruncatedLogits truncate(const at::Tensor& logits, std::int64_t k, at::ScalarType dtype) {
  const std::int64_t others = logits.size(1) - k;
  const at::Tensor normalizer_R = logits.logsumexp(1);
  const auto [largest_RK, indices_RK] = logits.topk(k, 1, /*largest=*/true, /*sorted=*/true);
  const at::Tensor rest_RV = logits.scatter(1, indices_RK, -std::numeric_limits<double>::infinity());
  const at::Tensor tail_R = rest_RV.logsumexp(1) - normalizer_R - std::log(static_cast<double>(others));
  return {(largest_RK - normalizer_R.unsqueeze(1)).to(dtype), indices_RK.to(index_type(logits.size(1))), tail_R,
          normalizer_R};
}

void expand(const TruncatedLogits& kept, at::Tensor& logits) {
  const at::Device device = logits.device();
  const at::Tensor normalizer_R1 = kept.normalizer.to(device).unsqueeze(1);
  logits.copy_(kept.tail.to(device).unsqueeze(1).add(normalizer_R1).expand_as(logits));
  logits.scatter_(1, kept.indices.to(device).to(at::kLong),
                  kept.values.to(device).to(logits.scalar_type()).add(normalizer_R1));
}

at::Tensor divergence(const at::Tensor& logits, const at::Tensor& shown) {
  const at::Tensor log_p = at::log_softmax(logits.to(at::kDouble), 1),
                   log_shown = at::log_softmax(shown.to(at::kDouble), 1);
  // Below 0 only by rounding.
  return (log_p.exp() * (log_p - log_shown)).sum(1).clamp_min(0.0);
}

RowLoss lost(const at::Tensor& logits, const TruncatedLogits& kept) {
  at::Tensor shown_RV = at::empty_like(logits);
  expand(kept, shown_RV);
  const auto others = static_cast<double>(logits.size(1) - kept.values.size(1));
  return {kept.tail.to(at::kDouble).exp().mul_(others), divergence(logits, shown_RV)};
}

}  // namespace espalier
