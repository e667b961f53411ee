// SPDX-License-Identifier: Apache-2.0
// Compiled without contraction: the bits are those of every other device.
#include "core/ops/cpu_adamw.hpp"

#include "core/ops/cpu_simd.hpp"

namespace espalier::cpu {
namespace {

using arithmetic::AdamWArrays;
using arithmetic::AdamWNumbers;
using arithmetic::Bf16;

// The two forms with float32 gradients are loops of their own, in which the compiler sees which arrays there are.
template <class M>
struct UpdateElements {
  static ESPALIER_BODY void run(AdamWArrays<M> arrays, std::int64_t begin, std::int64_t end, AdamWNumbers numbers) {
    if (arrays.narrow_gradient != nullptr || arrays.rest != nullptr) {
      for (std::int64_t i = begin; i < end; ++i) arithmetic::adamw_element(arrays, i, numbers);
    } else {
      const AdamWArrays<M> whole{arrays.master, nullptr,      nullptr,      arrays.gradient,
                                 nullptr,       arrays.first, arrays.second};
      for (std::int64_t i = begin; i < end; ++i) arithmetic::adamw_element(whole, i, numbers);
    }
  }
};

}  // namespace

template <class M>
void adamw(const AdamWArrays<M>& arrays, std::int64_t begin, std::int64_t end, const AdamWNumbers& numbers) {
  run<UpdateElements<M>>(arrays, begin, end, numbers);
}

template void adamw<float>(const AdamWArrays<float>&, std::int64_t, std::int64_t, const AdamWNumbers&);
template void adamw<Bf16>(const AdamWArrays<Bf16>&, std::int64_t, std::int64_t, const AdamWNumbers&);

void split(const float* master, Bf16* weight, std::int16_t* rest, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    const arithmetic::SplitFloat halves = arithmetic::split(master[i]);
    weight[i] = halves.high;
    rest[i] = halves.rest;
  }
}

void join(const Bf16* weight, const std::int16_t* rest, float* master, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) master[i] = arithmetic::joined(weight[i], rest[i]);
}

}  // namespace espalier::cpu
