// SPDX-License-Identifier: Apache-2.0
#include "hidden_mse.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/TensorOperators.h>

namespace espalier::plugins {

at::Tensor HiddenMseLoss::compare(const at::Tensor& u, const at::Tensor& v) const { return (u - v).square().mean(-1); }

}  // namespace espalier::plugins
