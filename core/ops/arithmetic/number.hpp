// SPDX-License-Identifier: Apache-2.0
// Numbers as they lie in memory (float32, bfloat16, float16) and as they are computed with (float32), for code that is
// compiled twice: by nvcc into kernels, and by the C++ compiler for the CPU and for tests.
#pragma once

#include <math.h>  // expf and its like in the global namespace, where both compilers have them

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define ESPALIER_DEVICE __device__ __forceinline__
#else
#define ESPALIER_DEVICE inline
#endif

namespace espalier::arithmetic {

struct Bf16 {
  std::uint16_t bits;
};
struct Half {
  std::uint16_t bits;
};

ESPALIER_DEVICE std::uint32_t bits_of(float x) {
#if defined(__CUDACC__)
  return __float_as_uint(x);
#else
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
#endif
}

ESPALIER_DEVICE float float_of(std::uint32_t bits) {
#if defined(__CUDACC__)
  return __uint_as_float(bits);
#else
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
#endif
}

ESPALIER_DEVICE float wide(float x) { return x; }
ESPALIER_DEVICE float wide(Bf16 x) { return float_of(static_cast<std::uint32_t>(x.bits) << 16); }
ESPALIER_DEVICE float wide(Half x) {
#if defined(__CUDACC__)
  return __half2float(__ushort_as_half(x.bits));
#else
  const std::uint32_t sign = (x.bits & 0x8000U) << 16, magnitude = x.bits & 0x7fffU;
  if (magnitude >= 0x7c00U) return float_of(sign | 0x7f800000U | (magnitude << 13));
  if (magnitude < 0x400U) return float_of(sign | bits_of(static_cast<float>(magnitude) * 5.9604644775390625e-8F));
  return float_of(sign | ((magnitude << 13) + 0x38000000U));
#endif
}

// To the nearest, ties to even; NaN stays NaN.
template <class T>
ESPALIER_DEVICE T narrow(float x);

template <>
ESPALIER_DEVICE float narrow<float>(float x) {
  return x;
}

template <>
ESPALIER_DEVICE Bf16 narrow<Bf16>(float x) {
#if defined(__CUDACC__)
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#else
  const std::uint32_t bits = bits_of(x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
  return {static_cast<std::uint16_t>(nan ? 0x7fc0U : rounded)};
#endif
}

template <>
ESPALIER_DEVICE Half narrow<Half>(float x) {
#if defined(__CUDACC__)
  return {__half_as_ushort(__float2half_rn(x))};
#else
  const std::uint32_t bits = bits_of(x), sign = (bits >> 16) & 0x8000U, magnitude = bits & 0x7fffffffU;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000U) {
    half = 0x7e00U;
  } else if (magnitude >= 0x47800000U) {  // 65536 and more
    half = 0x7c00U;
  } else if (magnitude < 0x38800000U) {  // subnormal: at 0.5 the last place is worth 2^-24
    half = bits_of(float_of(magnitude) + 0.5F) - bits_of(0.5F);
  } else {
    half = (magnitude + 0xfffU + ((magnitude >> 13) & 1U) - 0x38000000U) >> 13;
  }
  return {static_cast<std::uint16_t>(sign | half)};
#endif
}

// N neighbours, moved in one access. Their place is a multiple of their size.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

template <int N, class T>
ESPALIER_DEVICE void load(const T* from, float (&to)[N]) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
  for (int i = 0; i < N; ++i) to[i] = wide(pack.at[i]);
}

template <int N, class T>
ESPALIER_DEVICE void store(const float (&from)[N], T* to) {
  Pack<T, N> pack;
  for (int i = 0; i < N; ++i) pack.at[i] = narrow<T>(from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

struct Sum {
  float value = 0;
};
ESPALIER_DEVICE Sum merged(const Sum& a, const Sum& b) { return {a.value + b.value}; }

struct TwoSums {
  float first = 0, second = 0;
};
ESPALIER_DEVICE TwoSums merged(const TwoSums& a, const TwoSums& b) { return {a.first + b.first, a.second + b.second}; }

// Row programs are written for a team: the threads of a block, or a loop that stands for them. Thread t of n takes the
// packs t, t + n, t + 2n … of a row. A team has
//   reduce(width, start, step, merge): every thread begins with `start` and calls step(accumulator, first element) for
//     its packs; the accumulators are merged in a fixed tree, lane i with lane i + 16, 8, 4, 2, 1 of a warp of 32, then
//     the warps in the same way; every thread gets the result. The sum is a function of width, threads and N alone.
//   each(width, step): step(first element) for every pack, by the thread that owns it.
//   once(step): by one thread.
//   wait(): what any thread did before is done.
// A thread sees what it wrote itself, and of what others wrote meanwhile nothing before wait().

}  // namespace espalier::arithmetic
