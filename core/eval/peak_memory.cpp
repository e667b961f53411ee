// SPDX-License-Identifier: Apache-2.0
#include "core/eval/peak_memory.hpp"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include <c10/core/Allocator.h>

namespace espalier {

class PeakMemory::Counter final : public c10::MemoryReportingInfoBase {
 public:
  explicit Counter(at::Device device) : device_(device) {}

  void reportMemoryUsage(void* block, std::int64_t bytes, std::size_t, std::size_t, at::Device device) override {
    if (device.type() != device_.type()) return;
    const std::scoped_lock lock(mutex_);
    if (bytes > 0) {
      sizes_[block] = bytes;
      live_ += bytes;
      peak_ = std::max(peak_, live_);
    } else if (const auto known = sizes_.find(block); known != sizes_.end()) {  // else it is older than this object
      live_ -= known->second;
      sizes_.erase(known);
    }
  }
  bool memoryProfilingEnabled() const override { return true; }

  std::int64_t live() const { return live_; }
  std::int64_t peak() const { return peak_; }

 private:
  at::Device device_;
  std::mutex mutex_;  // threads of a kernel may inherit the counter
  std::unordered_map<void*, std::int64_t> sizes_;
  std::int64_t live_ = 0, peak_ = 0;
};

PeakMemory::PeakMemory(at::Device device)
    : counter_(std::make_shared<Counter>(device)), guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}
std::int64_t PeakMemory::live_bytes() const { return counter_->live(); }
std::int64_t PeakMemory::peak_bytes() const { return counter_->peak(); }

}  // namespace espalier
