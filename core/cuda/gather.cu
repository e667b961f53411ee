// SPDX-License-Identifier: Apache-2.0
// Rows or columns by index, for slicing: out (outer, kept, inner) = x (outer, extent, inner) at index. Copies, no sums.
// What moves at a time is the widest piece of 16, 8, 4, 2 or 1 bytes that divides a run of `inner` elements.
#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"

namespace espalier::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <class Piece>
__global__ void gather_kernel(const Piece* x, const std::int64_t* index, Piece* out, std::int64_t extent,
                              std::int64_t kept, std::int64_t inner, std::int64_t size) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < size; i += step) {
    const std::int64_t in_run = i % inner, run = i / inner, row = run / kept;
    out[i] = x[(row * extent + index[run % kept]) * inner + in_run];
  }
}

template <class Piece>
bool launch_if_fits(const Gather& call, Stream stream) {
  const std::int64_t run = call.inner * call.bytes, piece = sizeof(Piece);
  if (run % piece != 0 || !packs_fit(1, 1, static_cast<int>(piece), {call.x, call.out})) return false;
  const std::int64_t inner = run / piece, size = call.outer * call.kept * inner;
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>((size + kThreads - 1) / kThreads, kMostBlocks));
  gather_kernel<Piece><<<blocks, kThreads, 0, stream>>>(static_cast<const Piece*>(call.x), call.index,
                                                        static_cast<Piece*>(call.out), call.extent, call.kept, inner,
                                                        size);
  return true;
}

}  // namespace

void gather(const Gather& call, Stream stream) {
  if (call.outer * call.kept * call.inner == 0) return;
  launch_if_fits<int4>(call, stream) || launch_if_fits<std::uint64_t>(call, stream) ||
      launch_if_fits<std::uint32_t>(call, stream) || launch_if_fits<std::uint16_t>(call, stream) ||
      launch_if_fits<std::uint8_t>(call, stream);
}

}  // namespace espalier::cuda
