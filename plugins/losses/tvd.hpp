// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softened.hpp"

namespace espalier::plugins {

// Total variation distance, ½ Σ |p − q|, from 0 to 1; by a probability of the student its derivative is ½ sign(q − p).
class TvdLoss final : public SoftenedLoss {
 public:
  using Options = SoftenedOptions;
  explicit TvdLoss(const Options& options) : SoftenedLoss(options) {}

 protected:
  at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const override;
  at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const override;
};

}  // namespace espalier::plugins
