// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softened.hpp"

namespace espalier::plugins {

// 1 − c with c = p·q / (‖p‖‖q‖), of probabilities; by a probability of the student its derivative is
// −(p/‖p‖ − c q/‖q‖)/‖q‖.
class CosineLoss final : public SoftenedLoss {
 public:
  using Options = SoftenedOptions;
  explicit CosineLoss(const Options& options) : SoftenedLoss(options) {}

 protected:
  at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const override;
  at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const override;
};

}  // namespace espalier::plugins
