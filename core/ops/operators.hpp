// SPDX-License-Identifier: Apache-2.0
// Operations that the host offers to plugins, which may include LibTorch but nothing of the host: they are operators of
// LibTorch, found by name through c10::Dispatcher. They exist while a device with kernels is open; a plugin that does
// not find one computes by tensor operations.
//
//   espalier::channel_statistics(Tensor x) -> Tensor
//     (samples, tokens, channels) → (samples, 4, channels): core/ops/statistics.hpp
#pragma once

namespace espalier {

// May be called again.
void offer_operators();

}  // namespace espalier
