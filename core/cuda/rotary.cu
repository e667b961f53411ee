// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding, forward (sign 1) and backward (sign −1): core/ops/arithmetic/rotary.hpp. x (B, N, T, D)
// with any strides but the last, y (B, T, N, D). One block for a position.
#include "core/ops/arithmetic/rotary.hpp"

#include "core/cuda/block_team.cuh"
#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"

namespace espalier::cuda {
namespace {

template <int N, class T>
__global__ void rotate_kernel(Rotate call) {
  BlockTeam<N> team;
  const std::int64_t batch = blockIdx.x / call.positions, position = blockIdx.x % call.positions;
  arithmetic::rotate_position<N, T>(
      team, {static_cast<const T*>(call.x) + batch * call.strides[0] + position * call.strides[2],
             static_cast<const T*>(call.cos) + position * call.rotary,
             static_cast<const T*>(call.sin) + position * call.rotary,
             static_cast<T*>(call.y) + std::int64_t{blockIdx.x} * call.heads * call.width, call.heads, call.width,
             call.rotary, call.strides[1], call.sign});
}

template <int N, class T>
void launch(const Rotate& call, Stream stream) {
  const std::int64_t packs = call.heads * (call.width - call.rotary / 2) / N;
  rotate_kernel<N, T><<<static_cast<unsigned>(call.batch * call.positions), threads_for(packs, 256), 0, stream>>>(call);
}

}  // namespace

void rotate(Number number, const Rotate& call, Stream stream) {
  if (call.batch * call.positions * call.heads * call.width == 0) return;
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    constexpr int kWide = kPack<T>;
    bool packs = packs_fit(call.rotary / 2, kWide, sizeof(T), {call.x, call.cos, call.sin, call.y}) &&
                 (call.width - call.rotary) % kWide == 0;
    for (const std::int64_t stride : call.strides) packs = packs && stride % kWide == 0;
    packs ? launch<kWide, T>(call, stream) : launch<1, T>(call, stream);
  });
}

}  // namespace espalier::cuda
