// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace espalier::cpu {

constexpr std::int64_t kProductColumns = 32;  // of a task of transposed_product

// out (m, n) = or += aᵀ · b for a (rows, m) and b (rows, n), contiguous float32: a weight's gradient. For results that
// fit a core's cache, which libraries multiply at half their speed because a lies the wrong way. One task: the columns
// from `first` on, kProductColumns of them or what is left.
void transposed_product(const float* a, const float* b, float* out, std::int64_t rows, std::int64_t m, std::int64_t n,
                        std::int64_t first, bool add);

}  // namespace espalier::cpu
