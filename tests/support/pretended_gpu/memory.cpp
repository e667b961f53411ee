// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace espalier::pretended_gpu {
namespace {

using c10::CachingAllocator::StatType;
using c10::CachingDeviceAllocator::DeviceStats;

constexpr std::size_t kBytes = std::size_t{8} << 30, kUnit = 512;

// Address space; pages that were never used cost nothing. A key locks them for each thread by itself.
class Pages {
 public:
  Pages() : key_(::pkey_alloc(0, PKEY_DISABLE_ACCESS)) {
    constexpr int kOpen = PROT_READ | PROT_WRITE;
    void* begin = ::mmap(nullptr, kBytes, kOpen, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED) std::abort();
    if (key_ >= 0 && ::pkey_mprotect(begin, kBytes, kOpen, key_) != 0) std::abort();
    free_[static_cast<char*>(begin)] = kBytes;
  }

  char* take(std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto piece = std::find_if(free_.begin(), free_.end(), [&](const auto& one) { return one.second >= bytes; });
    TORCH_CHECK(piece != free_.end(), "CUDA out of memory. The pretended GPU has no piece of ", bytes, " bytes");
    char* const place = piece->first;
    if (piece->second > bytes) free_[place + bytes] = piece->second - bytes;
    free_.erase(piece);
    return place;
  }

  void give_back(char* place, std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    auto piece = free_.emplace(place, bytes).first;
    if (const auto next = std::next(piece); next != free_.end() && place + bytes == next->first) {
      piece->second += next->second;
      free_.erase(next);
    }
    if (piece == free_.begin()) return;
    if (const auto before = std::prev(piece); before->first + before->second == place) {
      before->second += piece->second;
      free_.erase(piece);
    }
  }

  void open() {
    if (users++ == 0 && key_ >= 0) ::pkey_set(key_, 0);
  }
  void close() {
    if (--users == 0 && key_ >= 0) ::pkey_set(key_, PKEY_DISABLE_ACCESS);
  }

 private:
  static thread_local int users;
  int key_;  // negative: this CPU has none, and nothing is locked
  std::mutex mutex_;
  std::map<char*, std::size_t> free_;
};

thread_local int Pages::users = 0;

Pages& pages() {
  static auto* all = new Pages;  // tensors may live as long as the process
  return *all;
}

class Allocator final : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    const std::size_t whole = (bytes + kUnit - 1) / kUnit * kUnit;
    const c10::Device device(c10::DeviceType::CUDA, 0);
    if (whole == 0) return {nullptr, nullptr, &release, device};
    char* const place = pages().take(whole);
    const std::scoped_lock lock(mutex_);
    sizes_[place] = whole;
    count(static_cast<std::int64_t>(whole));
    return {place, place, &release, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    const Access access;
    std::memcpy(to, from, bytes);
  }

  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  DeviceStats getDeviceStats(c10::DeviceIndex) override {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override {
    const std::scoped_lock lock(mutex_);
    bytes().peak = bytes().current;
  }
  std::pair<std::size_t, std::size_t> getMemoryInfo(c10::DeviceIndex) override {
    const std::scoped_lock lock(mutex_);
    return {kBytes - static_cast<std::size_t>(bytes().current), kBytes};
  }

 private:
  c10::CachingAllocator::Stat& bytes() { return stats_.allocated_bytes[static_cast<std::size_t>(StatType::AGGREGATE)]; }
  void count(std::int64_t change) {
    bytes().current += change;
    bytes().peak = std::max(bytes().peak, bytes().current);
    c10::reportMemoryUsageToProfiler(nullptr, change, static_cast<std::size_t>(bytes().current), kBytes,
                                     c10::Device(c10::DeviceType::CUDA, 0));
  }
  static void release(void* place);

  std::mutex mutex_;
  std::map<void*, std::size_t> sizes_;
  DeviceStats stats_;
};

Allocator& the_allocator() {
  static auto* one = new Allocator;
  return *one;
}

void Allocator::release(void* place) {
  if (place == nullptr) return;
  Allocator& own = the_allocator();
  std::size_t size = 0;
  {
    const std::scoped_lock lock(own.mutex_);
    size = own.sizes_.at(place);
    own.sizes_.erase(place);
    own.count(-static_cast<std::int64_t>(size));
  }
  pages().give_back(static_cast<char*>(place), size);
}

}  // namespace

Access::Access() { pages().open(); }
Access::~Access() { pages().close(); }

c10::DeviceAllocator& allocator() { return the_allocator(); }

}  // namespace espalier::pretended_gpu

// For the module with the kernels.
extern "C" {
__attribute__((visibility("default"))) void espalier_pretended_gpu_open() { espalier::pretended_gpu::pages().open(); }
__attribute__((visibility("default"))) void espalier_pretended_gpu_close() { espalier::pretended_gpu::pages().close(); }
}
