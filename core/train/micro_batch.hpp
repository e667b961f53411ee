// SPDX-License-Identifier: Apache-2.0
// A step's sequences, on the device.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/data/tokens.hpp"

namespace espalier {

// A few sequences (B, T), and which of their tokens are learnt.
struct MicroBatch {
  std::int64_t first = 0;     // number of the first sequence
  at::Tensor tokens, labels;  // (B, T) int64
  at::Tensor kept;            // (rows) int64, which of the B·T count; undefined: all
};

// Indices of the labels that count, (rows) int64 on the same device; undefined when all do. Waits for the device.
at::Tensor kept_rows(const at::Tensor& labels);

// Sequences first … first + count - 1 in parts of `size`. For a GPU from pinned memory, so that nothing waits for it.
std::vector<MicroBatch> micro_batches(const TrainingStream& data, std::int64_t first, std::int64_t count,
                                      std::int64_t size, at::Device device);

}  // namespace espalier
