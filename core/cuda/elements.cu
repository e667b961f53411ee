// SPDX-License-Identifier: Apache-2.0
// The MLP's inner function and its derivatives (core/ops/arithmetic/activation.hpp), and AdamW
// (core/ops/arithmetic/adamw.hpp): every element by itself, in one read and one write; no sums.
#include "core/ops/arithmetic/activation.hpp"
#include "core/ops/arithmetic/adamw.hpp"

#include "core/cuda/kernels.hpp"
#include "core/cuda/launch.cuh"

namespace espalier::cuda {
namespace {

constexpr unsigned kThreads = 256;

unsigned blocks_for(std::int64_t packs) {
  return static_cast<unsigned>(std::min<std::int64_t>((packs + kThreads - 1) / kThreads, kMostBlocks));
}

__device__ __forceinline__ std::int64_t first_element() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ __forceinline__ std::int64_t all_threads() { return std::int64_t{gridDim.x} * blockDim.x; }

template <class Function, int N, class T>
__global__ void activate_kernel(Activate call) {
  for (std::int64_t i = first_element() * N; i < call.size; i += all_threads() * N) {
    arithmetic::activate<Function, N>(static_cast<const T*>(call.gate), static_cast<const T*>(call.up),
                                      static_cast<T*>(call.y), i);
  }
}

template <class Function, int N, class T>
__global__ void activate_backward_kernel(ActivateBackward call) {
  for (std::int64_t i = first_element() * N; i < call.size; i += all_threads() * N) {
    arithmetic::activate_backward<Function, N>(static_cast<const T*>(call.dy), static_cast<const T*>(call.gate),
                                               static_cast<const T*>(call.up), static_cast<T*>(call.dgate),
                                               static_cast<T*>(call.dup), i);
  }
}

template <class Function, int N, class T>
void launch(const Activate& call, Stream stream) {
  activate_kernel<Function, N, T><<<blocks_for(call.size / N), kThreads, 0, stream>>>(call);
}

template <class Function, int N, class T>
void launch(const ActivateBackward& call, Stream stream) {
  activate_backward_kernel<Function, N, T><<<blocks_for(call.size / N), kThreads, 0, stream>>>(call);
}

template <class T, class Call>
void launch_for(const Call& call, bool packs, Stream stream) {
  using arithmetic::Silu;
  using arithmetic::SquaredRelu;
  if (call.function == 0) {
    packs ? launch<Silu, kPack<T>, T>(call, stream) : launch<Silu, 1, T>(call, stream);
  } else {
    packs ? launch<SquaredRelu, kPack<T>, T>(call, stream) : launch<SquaredRelu, 1, T>(call, stream);
  }
}

template <class M>
__global__ void adamw_kernel(AdamW call) {
  const arithmetic::AdamWNumbers numbers{call.keep, call.beta1,      call.rest1, call.beta2, call.rest2,
                                         call.rate, call.correction, call.eps,   call.factor};
  const arithmetic::AdamWArrays<M> arrays{call.master,
                                          static_cast<Bf16*>(call.weight),
                                          static_cast<std::int16_t*>(call.rest),
                                          call.bf16_gradient ? nullptr : static_cast<const float*>(call.gradient),
                                          call.bf16_gradient ? static_cast<const Bf16*>(call.gradient) : nullptr,
                                          static_cast<M*>(call.first),
                                          static_cast<M*>(call.second)};
  for (std::int64_t i = first_element(); i < call.size; i += all_threads()) {
    arithmetic::adamw_element(arrays, i, numbers);
  }
}

}  // namespace

void activate(Number number, const Activate& call, Stream stream) {
  if (call.size == 0) return;
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    launch_for<T>(call, packs_fit(call.size, kPack<T>, sizeof(T), {call.gate, call.up, call.y}), stream);
  });
}

void activate_backward(Number number, const ActivateBackward& call, Stream stream) {
  if (call.size == 0) return;
  with_type(number, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool packs = packs_fit(call.size, kPack<T>, sizeof(T), {call.dy, call.gate, call.up, call.dgate, call.dup});
    launch_for<T>(call, packs, stream);
  });
}

void adamw(const AdamW& call, Stream stream) {
  if (call.size == 0) return;
  const auto kernel = call.bf16_moments ? adamw_kernel<Bf16> : adamw_kernel<float>;
  kernel<<<blocks_for(call.size), kThreads, 0, stream>>>(call);
}

}  // namespace espalier::cuda
