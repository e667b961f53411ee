// SPDX-License-Identifier: Apache-2.0
// What the fused CPU operations share.
#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/core/Tensor.h>

#include "core/base/error.hpp"

namespace espalier {

// The fused loops of cpu_kernels.hpp exist for these.
inline bool has_fused_kernel(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

inline bool wants_grad(const at::Tensor& a) { return at::GradMode::is_enabled() && a.defined() && a.requires_grad(); }

// Called at the start of a hand-written backward pass, whose result cannot be differentiated again.
inline void refuse_second_derivative() {
  ESPALIER_CHECK(!at::GradMode::is_enabled(), "second derivatives are not available");
}

}  // namespace espalier
