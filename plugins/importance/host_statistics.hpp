// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/Tensor.h>

namespace espalier::plugins {

// The statistics of a micro-batch (batch, seq, units, channels) in one read, where the host offers that (it does on a
// GPU): (batch, 4, units × channels) float64, over each sample's tokens Σ|x|, Σx², mean, Σ(x − mean)². Else nothing.
inline std::optional<at::Tensor> host_statistics(const at::Tensor& batch) {
  const auto found = c10::Dispatcher::singleton().findSchema({"espalier::channel_statistics", ""});
  if (!found.has_value() || batch.numel() == 0) return std::nullopt;
  return found->typed<at::Tensor(const at::Tensor&)>().call(batch.flatten(2));
}

}  // namespace espalier::plugins
