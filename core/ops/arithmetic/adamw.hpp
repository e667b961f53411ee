// SPDX-License-Identifier: Apache-2.0
// One element of AdamW: core/ops/adamw.hpp has the formula. Float32, rounded after every operation as IEEE 754 says and
// never contracted, so that every compiler and device gives the same bits.
#pragma once

#include "core/ops/arithmetic/number.hpp"

namespace espalier::arithmetic {

#if defined(__CUDACC__)
ESPALIER_DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
ESPALIER_DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
ESPALIER_DEVICE float over(float a, float b) { return __fdiv_rn(a, b); }
ESPALIER_DEVICE float root(float a) { return __fsqrt_rn(a); }
#else
// Files that include this on the host are compiled with -ffp-contract=off.
ESPALIER_DEVICE float plus(float a, float b) { return a + b; }
ESPALIER_DEVICE float times(float a, float b) { return a * b; }
ESPALIER_DEVICE float over(float a, float b) { return a / b; }
ESPALIER_DEVICE float root(float a) { return sqrtf(a); }
#endif

// A float32 in two halves: the nearest bfloat16 (ties away from zero), and as `rest` the low 16 bits. `rest` is
// negative when the bfloat16 was rounded up, so nothing is lost. NaN becomes a NaN with rest 0.
struct SplitFloat {
  Bf16 high;
  std::int16_t rest;
};
ESPALIER_DEVICE SplitFloat split(float x) {
  const std::uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return {{0x7fc0U}, 0};
  return {{static_cast<std::uint16_t>((bits + 0x8000U) >> 16)}, static_cast<std::int16_t>(bits & 0xffffU)};
}
ESPALIER_DEVICE float joined(Bf16 high, std::int16_t rest) {
  const std::uint32_t upper = static_cast<std::uint32_t>(high.bits) - (rest < 0 ? 1U : 0U);
  return float_of((upper << 16) | static_cast<std::uint16_t>(rest));
}

// The step's constants, rounded once from float64.
struct AdamWNumbers {
  float keep;                   // 1 − lr·decay
  float beta1, rest1;           // β1, 1 − β1
  float beta2, rest2;           // β2, 1 − β2
  float rate, correction, eps;  // lr/(1 − β1^step), sqrt(1 − β2^step)
  float factor;                 // of the gradient
};

// One of the two forms of adamw.hpp: `master`, or `weight` and `rest`; one of two gradients. M: float or Bf16.
template <class M>
struct AdamWArrays {
  float* master;
  Bf16* weight;
  std::int16_t* rest;
  const float* gradient;
  const Bf16* narrow_gradient;
  M *first, *second;
};

template <class M>
ESPALIER_DEVICE void adamw_element(const AdamWArrays<M>& at, std::int64_t i, const AdamWNumbers& numbers) {
  const float g = times(at.gradient != nullptr ? at.gradient[i] : wide(at.narrow_gradient[i]), numbers.factor);
  float w = at.rest != nullptr ? joined(at.weight[i], at.rest[i]) : at.master[i];
  w = times(w, numbers.keep);
  const float first = plus(times(wide(at.first[i]), numbers.beta1), times(g, numbers.rest1));
  const float second = plus(times(wide(at.second[i]), numbers.beta2), times(times(g, g), numbers.rest2));
  const float scale = plus(over(root(second), numbers.correction), numbers.eps);
  w = plus(w, -over(times(numbers.rate, first), scale));
  at.first[i] = narrow<M>(first);
  at.second[i] = narrow<M>(second);
  if (at.rest != nullptr) {
    const SplitFloat halves = split(w);
    at.weight[i] = halves.high;
    at.rest[i] = halves.rest;
    return;
  }
  at.master[i] = w;
}

}  // namespace espalier::arithmetic
