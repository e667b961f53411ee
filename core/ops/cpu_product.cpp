// SPDX-License-Identifier: Apache-2.0
#include "core/ops/cpu_product.hpp"

#include <algorithm>

#include "core/ops/cpu_tile.hpp"

namespace espalier::cpu {
namespace {

constexpr std::int64_t kDepth = 128;  // rows at a time: a strip of b of this length stays in the first cache
constexpr std::int64_t kHeight = 64;  // rows of the result that are gathered when its columns are no whole vectors

template <int kBytes>
struct TransposedProduct {
  static ESPALIER_BODY void run(const float* a, const float* b, float* out, std::int64_t rows, std::int64_t m,
                                std::int64_t n, std::int64_t first, bool add) {
    const std::int64_t columns = std::min(kProductColumns, n - first);
    const bool in_place = columns == whole(columns, Vector<float, kBytes>::lanes);
    for (std::int64_t k = 0; k < rows; k += kDepth, add = true) {
      const std::int64_t depth = std::min(kDepth, rows - k);
      const float *left = a + k * m, *right = b + k * n + first;
      if (in_place) {
        multiply<float, kBytes>(left, 1, m, right, n, out + first, n, m, columns, depth, add);
      } else {
        in_whole_vectors(left, right, out + first, m, n, columns, depth, add);
      }
    }
  }

 private:
  static ESPALIER_BODY void copy(const float* from, std::int64_t stride, float* to, std::int64_t to_stride,
                                 std::int64_t rows, std::int64_t columns) {
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) to[i * to_stride + j] = from[i * stride + j];
    }
  }

  static ESPALIER_BODY void in_whole_vectors(const float* a, const float* b, float* out, std::int64_t m, std::int64_t n,
                                             std::int64_t columns, std::int64_t depth, bool add) {
    float right[kDepth * kProductColumns] = {}, sums[kHeight * kProductColumns];
    const std::int64_t wide = whole(columns, Vector<float, kBytes>::lanes);
    copy(b, n, right, kProductColumns, depth, columns);
    for (std::int64_t i = 0; i < m; i += kHeight) {
      const std::int64_t height = std::min(kHeight, m - i);
      if (add) copy(out + i * n, n, sums, kProductColumns, height, columns);
      multiply<float, kBytes>(a + i, 1, m, right, kProductColumns, sums, kProductColumns, height, wide, depth, add);
      copy(sums, kProductColumns, out + i * n, n, height, columns);
    }
  }
};

}  // namespace

void transposed_product(const float* a, const float* b, float* out, std::int64_t rows, std::int64_t m, std::int64_t n,
                        std::int64_t first, bool add) {
  run_wide<TransposedProduct>(a, b, out, rows, m, n, first, add);
}

}  // namespace espalier::cpu
