// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hidden_loss.hpp"

namespace espalier::plugins {

// (1/width) Σ (u − v)²
class HiddenMseLoss final : public HiddenLoss {
 public:
  using HiddenLoss::HiddenLoss;

 protected:
  at::Tensor compare(const at::Tensor& u, const at::Tensor& v) const override;
};

}  // namespace espalier::plugins
