// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/Tensor.h>

namespace espalier::plugins {

// The host's fused pass over rows of logits, where it offers one (it does on a GPU): loss (rows) = KL(p‖q) of the
// softened rows, gradient (rows, vocab) += scale·(q − p)/temperature. False: there is none, and nothing was done.
inline bool host_kl_rows(const at::Tensor& student, const at::Tensor& teacher, double temperature, double scale,
                         at::Tensor& loss, at::Tensor& gradient) {
  using Signature = void(const at::Tensor&, const at::Tensor&, double, double, at::Tensor&, at::Tensor&);
  const auto found = c10::Dispatcher::singleton().findSchema({"espalier::kl_rows", ""});
  if (!found.has_value()) return false;
  found->typed<Signature>().call(student, teacher, temperature, scale, loss, gradient);
  return true;
}

}  // namespace espalier::plugins
