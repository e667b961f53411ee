// SPDX-License-Identifier: Apache-2.0
// The team of core/ops/arithmetic/number.hpp that is a thread block: blockDim.x threads, a multiple of 32.
#pragma once

#include "core/ops/arithmetic/number.hpp"

namespace espalier::cuda {

// N: elements of a pack. One object per block and kernel: its shared memory is used again by every reduce().
template <int N>
class BlockTeam {
 public:
  template <class Accumulator, class Step, class Merge>
  __device__ __forceinline__ Accumulator reduce(std::int64_t width, const Accumulator& start, const Step& step,
                                                const Merge& merge) {
    static_assert(sizeof(Accumulator) % 4 == 0 && sizeof(Accumulator) <= kBytes);
    __shared__ alignas(16) unsigned char of_warps[33 * kBytes];
    auto* parts = reinterpret_cast<Accumulator*>(of_warps);
    Accumulator mine = start;
    for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < width; i += std::int64_t{blockDim.x} * N) step(mine, i);
    mine = tree(mine, merge);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    if (lane == 0) parts[warp] = mine;
    __syncthreads();
    if (warp == 0) {
      mine = lane < static_cast<int>(blockDim.x) / 32 ? parts[lane] : start;
      mine = tree(mine, merge);
      if (lane == 0) parts[32] = mine;
    }
    __syncthreads();
    return parts[32];
  }

  template <class Step>
  __device__ __forceinline__ void each(std::int64_t width, const Step& step) const {
    for (std::int64_t i = std::int64_t{threadIdx.x} * N; i < width; i += std::int64_t{blockDim.x} * N) step(i);
  }

  template <class Step>
  __device__ __forceinline__ void once(const Step& step) const {
    if (threadIdx.x == 0) step();
  }

  __device__ __forceinline__ void wait() const { __syncthreads(); }

 private:
  static constexpr int kBytes = 32;  // of the largest accumulator

  // Lane 0 has the warp's result; what the other lanes have is of no use.
  template <class Accumulator, class Merge>
  static __device__ __forceinline__ Accumulator tree(Accumulator mine, const Merge& merge) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) mine = merge(mine, from_above(mine, distance));
    return mine;
  }

  template <class Accumulator>
  static __device__ __forceinline__ Accumulator from_above(const Accumulator& mine, int distance) {
    Accumulator other;
    const auto* from = reinterpret_cast<const unsigned*>(&mine);
    auto* to = reinterpret_cast<unsigned*>(&other);
#pragma unroll
    for (unsigned i = 0; i < sizeof(Accumulator) / 4; ++i) to[i] = __shfl_down_sync(0xffffffffU, from[i], distance);
    return other;
  }
};

}  // namespace espalier::cuda
