// SPDX-License-Identifier: Apache-2.0
// Residual + RMSNorm or LayerNorm1P, forward and backward. Maths, shapes and accumulation:
// core/ops/arithmetic/norm.hpp. Forward: one block for a row, which is read from memory once (the second read finds it
// in the cache). Backward: `groups` blocks, each goes through its rows in order and keeps its part of dweight (and
// dbias) in shared memory, or in global memory where the row is too wide; a second kernel adds the groups up in order.
#include "core/ops/arithmetic/norm.hpp"

#include "core/cuda/block_team.cuh"
#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"

namespace espalier::cuda {
namespace {

constexpr std::int64_t kMostThreads = 512;
constexpr std::int64_t kSharedBytes = 40 << 10;  // beside the team's own, within what every block may have

template <class T>
__device__ __forceinline__ const T* at_row(const void* base, std::int64_t offset) {
  return base == nullptr ? nullptr : static_cast<const T*>(base) + offset;
}

template <class T>
__device__ __forceinline__ T* at_row(void* base, std::int64_t offset) {
  return base == nullptr ? nullptr : static_cast<T*>(base) + offset;
}

template <bool kCentred, int N, class T>
__global__ void norm_kernel(Norm call) {
  BlockTeam<N> team;
  const std::int64_t row = blockIdx.x, at = row * call.width;
  arithmetic::norm_row<kCentred, N, T>(
      team, {at_row<T>(call.x, at), at_row<T>(call.residual, at), static_cast<const T*>(call.weight),
             static_cast<const T*>(call.bias), at_row<T>(call.sum, at), at_row<T>(call.y, at),
             call.mean == nullptr ? nullptr : call.mean + row, call.rstd == nullptr ? nullptr : call.rstd + row,
             call.width, call.eps, call.offset});
}

template <bool kCentred, int N, class T>
__global__ void norm_backward_kernel(NormBackward call, bool in_shared) {
  extern __shared__ float shared[];
  BlockTeam<N> team;
  const std::int64_t sums = call.width * (call.dbias != nullptr ? 2 : 1), group = blockIdx.x;
  float* const kept = in_shared ? shared : call.partial + group * sums;
  float *const dweight = kept, *const dbias = call.dbias != nullptr ? kept + call.width : nullptr;
  team.each(call.width, [&](std::int64_t i) {
    for (int j = 0; j < N; ++j) {
      dweight[i + j] = 0;
      if (dbias != nullptr) dbias[i + j] = 0;
    }
  });
  for (std::int64_t row = group; row < call.rows; row += call.groups) {
    const std::int64_t at = row * call.width;
    arithmetic::norm_backward_row<kCentred, N, T>(
        team, {at_row<T>(call.dy, at), at_row<T>(call.dsum, at), at_row<T>(call.x, at),
               static_cast<const T*>(call.weight), kCentred ? call.mean[row] : 0.0F, call.rstd[row],
               at_row<T>(call.dx, at), dweight, dbias, call.width, call.offset});
  }
  if (!in_shared) return;
  float* const out = call.partial + group * sums;
  team.each(call.width, [&](std::int64_t i) {
    for (int j = 0; j < N; ++j) {
      out[i + j] = dweight[i + j];
      if (dbias != nullptr) out[call.width + i + j] = dbias[i + j];
    }
  });
}

// out (width) of T = Σ groups partial, in order; `pitch` floats from one group to the next.
template <class T>
__global__ void add_groups_kernel(const float* partial, std::int64_t groups, std::int64_t pitch, std::int64_t width,
                                  T* out) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= width) return;
  float sum = 0;
#pragma unroll 8  // so that reads are under way together; the sum stays in order
  for (std::int64_t group = 0; group < groups; ++group) sum += partial[group * pitch + i];
  out[i] = arithmetic::narrow<T>(sum);
}

template <bool kCentred, int N, class T>
void launch_norm(const Norm& call, Stream stream) {
  const unsigned threads = threads_for(call.width / N, kMostThreads);
  norm_kernel<kCentred, N, T><<<static_cast<unsigned>(call.rows), threads, 0, stream>>>(call);
}

template <bool kCentred, int N, class T>
void launch_backward(const NormBackward& call, Stream stream) {
  const unsigned threads = threads_for(call.width / N, kMostThreads);
  const std::int64_t pitch = call.width * (call.dbias != nullptr ? 2 : 1);
  const std::int64_t bytes = pitch * static_cast<std::int64_t>(sizeof(float));
  const bool in_shared = bytes <= kSharedBytes;
  norm_backward_kernel<kCentred, N, T>
      <<<static_cast<unsigned>(call.groups), threads, in_shared ? static_cast<std::size_t>(bytes) : 0, stream>>>(
          call, in_shared);
  const auto blocks = static_cast<unsigned>((call.width + 127) / 128);
  add_groups_kernel<T>
      <<<blocks, 128, 0, stream>>>(call.partial, call.groups, pitch, call.width, static_cast<T*>(call.dweight));
  if (call.dbias == nullptr) return;
  add_groups_kernel<T><<<blocks, 128, 0, stream>>>(call.partial + call.width, call.groups, pitch, call.width,
                                                   static_cast<T*>(call.dbias));
}

}  // namespace

void norm(Number number, const Norm& call, Stream stream) {
  if (call.rows == 0 || call.width == 0) return;
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool packs =
        packs_fit(call.width, kPack<T>, sizeof(T), {call.x, call.residual, call.weight, call.bias, call.sum, call.y});
    const auto launch = call.centred ? (packs ? launch_norm<true, kPack<T>, T> : launch_norm<true, 1, T>)
                                     : (packs ? launch_norm<false, kPack<T>, T> : launch_norm<false, 1, T>);
    launch(call, stream);
  });
}

void norm_backward(Number number, const NormBackward& call, Stream stream) {
  if (call.rows == 0 || call.width == 0) return;
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool packs = packs_fit(call.width, kPack<T>, sizeof(T), {call.dy, call.dsum, call.x, call.weight, call.dx});
    const auto launch = call.centred ? (packs ? launch_backward<true, kPack<T>, T> : launch_backward<true, 1, T>)
                                     : (packs ? launch_backward<false, kPack<T>, T> : launch_backward<false, 1, T>);
    launch(call, stream);
  });
}

}  // namespace espalier::cuda
