// SPDX-License-Identifier: Apache-2.0
// The distillation head's row pass: forward KL, cross entropy and their gradient. Maths, accumulation and what happens
// at infinity: core/ops/arithmetic/kl.hpp. Shapes: student, teacher and gradient (rows, width). One block for a row;
// logits are read twice, the gradient is written once (and read once when it is added to).
#include "core/ops/arithmetic/kl.hpp"

#include "core/cuda/block_team.cuh"
#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"

namespace espalier::cuda {
namespace {

template <bool kCe, int N, class G>
__global__ void __launch_bounds__(512) kl_kernel(KlPass call) {
  BlockTeam<N> team;
  const std::int64_t row = blockIdx.x, at = row * call.width;
  arithmetic::kl_row<kCe, N, float, G>(
      team,
      {call.student + at, call.teacher + at, call.gradient == nullptr ? nullptr : static_cast<G*>(call.gradient) + at,
       call.kl + row, kCe ? call.ce + row : nullptr, kCe ? call.labels[row] : 0, call.width, call.temperature,
       call.kl_scale, call.ce_scale, call.accumulate});
}

template <bool kCe, int N, class G>
void launch(const KlPass& call, Stream stream) {
  const unsigned threads = threads_for(call.width / N, 512);
  kl_kernel<kCe, N, G><<<static_cast<unsigned>(call.rows), threads, 0, stream>>>(call);
}

}  // namespace

void kl_rows(Number gradient, const KlPass& call, Stream stream) {
  if (call.rows == 0 || call.width == 0) return;
  with_type(gradient, [&](auto type) {
    using G = typename decltype(type)::type;
    constexpr int kWide = kPack<float>;
    const bool packs = packs_fit(call.width, kWide, sizeof(float), {call.student, call.teacher}) &&
                       packs_fit(call.width, kWide, sizeof(G), {call.gradient});
    const auto chosen = call.ce != nullptr ? (packs ? launch<true, kWide, G> : launch<true, 1, G>)
                                           : (packs ? launch<false, kWide, G> : launch<false, 1, G>);
    chosen(call, stream);
  });
}

}  // namespace espalier::cuda
