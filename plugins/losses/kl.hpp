// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softened.hpp"

namespace espalier::plugins {

// Forward KL, Σ p (log p − log q); its slope is q − p. Also for distributions over fewer classes than the vocabulary.
at::Tensor forward_kl(const at::Tensor& log_p, const at::Tensor& log_q);
at::Tensor forward_kl_slope(at::Tensor& log_p, at::Tensor& log_q);

class KlLoss final : public SoftenedLoss, public KlCeMixLoss {
 public:
  using Options = SoftenedOptions;
  explicit KlLoss(const Options& options) : SoftenedLoss(options) {}
  KlCeMix mix() const override { return {.temperature = temperature_, .kl = factor_, .cross_entropy = 0.0}; }

 protected:
  at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const override { return forward_kl(log_p, log_q); }
  at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const override { return forward_kl_slope(log_p, log_q); }
};

}  // namespace espalier::plugins
