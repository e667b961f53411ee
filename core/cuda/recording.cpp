// SPDX-License-Identifier: Apache-2.0
#include "core/cuda/recording.hpp"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace espalier::cuda {
namespace {

class Graph final : public Recording {
 public:
  Graph(at::Device device, const std::function<void()>& work) : device_(device) {
    const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
    c10::cuda::getCurrentCUDAStream(device.index()).synchronize();  // nothing else may be under way
    c10::cuda::CUDACachingAllocator::emptyCache();  // a recording cannot take what plain passes have left
    const c10::cuda::CUDAStreamGuard guard(stream);
    // Other threads may go on: what watches the ranks, and the one that runs backward passes.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      give_up();
      throw;
    }
    graph_.capture_end();
  }

  void play() override {
    const c10::cuda::CUDAGuard guard(device_);
    graph_.replay();
  }

 private:
  // The stream must leave the recording, whatever came of it.
  void give_up() noexcept {
    try {
      graph_.capture_end();
    } catch (...) {
      static_cast<void>(cudaGetLastError());
    }
  }

  at::Device device_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

std::unique_ptr<Recording> record(at::Device device, const std::function<void()>& work) {
  return std::make_unique<Graph>(device, work);
}

}  // namespace espalier::cuda
