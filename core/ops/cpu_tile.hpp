// SPDX-License-Identifier: Apache-2.0
// Small matrix products that keep their sums in registers, for the loops of cpu_simd.hpp. Each element of a result is
// one sum over the inner dimension in order, whatever the sizes of the matrices around it.
#pragma once

#include <cstdint>

#include "core/ops/cpu_simd.hpp"

namespace espalier::cpu {

template <class T, int kBytes>
struct Vector {
  typedef T type __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
  static constexpr std::int64_t lanes = kBytes / static_cast<int>(sizeof(T));
};

// c (M, N · lanes) = or += a (M, depth) · b (depth, N · lanes). Element (m, k) of a lies at a[m · row + k · column].
// Each element of c is one sum over k in order, whatever M and N are.
template <class T, int kBytes, int M, int N>
ESPALIER_BODY void tile(const T* a, std::int64_t row, std::int64_t column, const T* b, std::int64_t b_row, T* c,
                        std::int64_t c_row, std::int64_t depth, bool add) {
  using V = typename Vector<T, kBytes>::type;
  constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
  V sum[M][N];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sum[m][n] = add ? *reinterpret_cast<const V*>(c + m * c_row + n * lanes) : V{};
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    V right[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) right[n] = *reinterpret_cast<const V*>(b + k * b_row + n * lanes);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      const T left = a[m * row + k * column];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[m][n] += left * right[n];
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) *reinterpret_cast<V*>(c + m * c_row + n * lanes) = sum[m][n];
  }
}

template <class T, int kBytes, int M>
ESPALIER_BODY void panel(const T* a, std::int64_t row, std::int64_t column, const T* b, std::int64_t b_row, T* c,
                         std::int64_t c_row, std::int64_t columns, std::int64_t depth, bool add) {
  constexpr std::int64_t lanes = Vector<T, kBytes>::lanes;
  std::int64_t n = 0;
  for (; n + 2 * lanes <= columns; n += 2 * lanes) {
    tile<T, kBytes, M, 2>(a, row, column, b + n, b_row, c + n, c_row, depth, add);
  }
  if (n < columns) tile<T, kBytes, M, 1>(a, row, column, b + n, b_row, c + n, c_row, depth, add);
}

// c (rows, columns) = or += a · b for columns that are whole vectors.
template <class T, int kBytes>
ESPALIER_BODY void multiply(const T* a, std::int64_t row, std::int64_t column, const T* b, std::int64_t b_row, T* c,
                            std::int64_t c_row, std::int64_t rows, std::int64_t columns, std::int64_t depth, bool add) {
  constexpr int kRows = kBytes == 64 ? 8 : 4;  // sums that fit the registers
  std::int64_t m = 0;
  for (; m + kRows <= rows; m += kRows) {
    panel<T, kBytes, kRows>(a + m * row, row, column, b, b_row, c + m * c_row, c_row, columns, depth, add);
  }
  for (; m + 2 <= rows; m += 2) {
    panel<T, kBytes, 2>(a + m * row, row, column, b, b_row, c + m * c_row, c_row, columns, depth, add);
  }
  if (m < rows) panel<T, kBytes, 1>(a + m * row, row, column, b, b_row, c + m * c_row, c_row, columns, depth, add);
}

constexpr std::int64_t whole(std::int64_t count, std::int64_t lanes) { return (count + lanes - 1) / lanes * lanes; }

}  // namespace espalier::cpu
