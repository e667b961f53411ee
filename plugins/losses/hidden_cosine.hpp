// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hidden_loss.hpp"

namespace espalier::plugins {

// 1 − c with c = u·v / (‖u‖‖v‖). A row without a direction (‖u‖ or ‖v‖ about 0) counts as it is, undivided.
class HiddenCosineLoss final : public HiddenLoss {
 public:
  using HiddenLoss::HiddenLoss;

 protected:
  at::Tensor compare(const at::Tensor& u, const at::Tensor& v) const override;
};

}  // namespace espalier::plugins
