// SPDX-License-Identifier: Apache-2.0
// Loops without ATen for whatever the CPU has. Each is written once, as the always-inlined body of a static function
// run(), and instantiated inside functions that may use AVX2 or AVX-512.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#define ESPALIER_BODY inline __attribute__((always_inline))

namespace espalier::cpu {

// e^x to about 2 ulp: x = n·ln 2 + r, e^r by a polynomial, 2^n by the exponent's bits. |x| ≤ 87.
ESPALIER_BODY float exp_of(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5·2^23: adding it rounds to an integer
  const float n = (x * 1.44269504F + kRound) - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}
ESPALIER_BODY double exp_of(double x) { return std::exp(x); }

enum class Width { base, avx2, avx512 };

inline Width detect() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw")) {
    return Width::avx512;
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Width::avx2 : Width::base;
}

// What the loops use: all that the CPU has. A test may lower it.
inline Width& width() {
  static Width width = detect();
  return width;
}

template <class Kernel, class... Args>
__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))) void with_avx512(Args... args) {
  Kernel::run(args...);
}

template <class Kernel, class... Args>
__attribute__((target("avx2,fma"))) void with_avx2(Args... args) {
  Kernel::run(args...);
}

template <class Kernel, class... Args>
void run(Args... args) {
  switch (width()) {
    case Width::avx512:
      return with_avx512<Kernel>(args...);
    case Width::avx2:
      return with_avx2<Kernel>(args...);
    case Width::base:
      return Kernel::run(args...);
  }
}

// The same for a body that is written in vectors of a given number of bytes.
template <template <int> class Kernel, class... Args>
void run_wide(Args... args) {
  switch (width()) {
    case Width::avx512:
      return with_avx512<Kernel<64>>(args...);
    case Width::avx2:
      return with_avx2<Kernel<32>>(args...);
    case Width::base:
      return Kernel<16>::run(args...);
  }
}

}  // namespace espalier::cpu
