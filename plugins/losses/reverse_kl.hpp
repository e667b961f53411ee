// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softened.hpp"

namespace espalier::plugins {

// Reverse KL, ℓ = Σ q (log q − log p); its slope is q (log q − log p − ℓ).
at::Tensor reverse_kl(const at::Tensor& log_p, const at::Tensor& log_q);
at::Tensor reverse_kl_slope(at::Tensor& log_p, at::Tensor& log_q);

class ReverseKlLoss final : public SoftenedLoss {
 public:
  using Options = SoftenedOptions;
  explicit ReverseKlLoss(const Options& options) : SoftenedLoss(options) {}

 protected:
  at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const override { return reverse_kl(log_p, log_q); }
  at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const override { return reverse_kl_slope(log_p, log_q); }
};

}  // namespace espalier::plugins
