// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace espalier {

// Counts the memory of tensors that this thread makes while the object lives: every block that LibTorch's allocators
// give out and take back, to the byte (a GPU's allocator rounds up). What existed before does not count, nor what a
// library beneath takes for itself without asking them. Allocations are slower meanwhile.
class PeakMemory {
 public:
  explicit PeakMemory(at::Device device);
  std::int64_t live_bytes() const;
  std::int64_t peak_bytes() const;

 private:
  class Counter;
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

}  // namespace espalier
