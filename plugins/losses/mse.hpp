// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softened.hpp"

namespace espalier::plugins {

// (1/vocab) Σ (q − p)², of probabilities as in Minitron (arXiv 2407.14679), not of logits; by a probability of the
// student its derivative is (2/vocab) (q − p).
class MseLoss final : public SoftenedLoss {
 public:
  using Options = SoftenedOptions;
  explicit MseLoss(const Options& options) : SoftenedLoss(options) {}

 protected:
  at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const override;
  at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const override;
};

}  // namespace espalier::plugins
