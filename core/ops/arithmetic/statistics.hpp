// SPDX-License-Identifier: Apache-2.0
// What activation metrics want of each channel over the tokens of a sample, in one read:
//   Σ|x|, Σx², mean = Σx / n, deviations = Σ (x − mean)²
// Accumulation: a thread goes down one channel of a chunk of kStatisticsRows tokens in float32, with x − origin in
// place of x for the last two (origin: the chunk's first value, so that a mean far from zero does not cancel); chunks
// are merged in order in float64 (Chan, Golub, LeVeque 1979).
#pragma once

#include "core/ops/arithmetic/number.hpp"

namespace espalier::arithmetic {

inline constexpr std::int64_t kStatisticsRows = 64;

// Of one chunk and channel.
struct ChunkStatistics {
  float absolute, square, mean, deviations;
};

// Of N neighbouring channels: rows [0, rows) of x, `pitch` elements apart; rows >= 1.
template <int N, class T>
ESPALIER_DEVICE void chunk_statistics(const T* x, std::int64_t rows, std::int64_t pitch, ChunkStatistics (&out)[N]) {
  float origin[N], absolute[N] = {}, square[N] = {}, shifted[N] = {}, shifted_square[N] = {};
  load<N>(x, origin);
  for (std::int64_t row = 0; row < rows; ++row) {
    float value[N];
    load<N>(x + row * pitch, value);
    for (int j = 0; j < N; ++j) {
      const float d = value[j] - origin[j];
      absolute[j] += fabsf(value[j]);
      square[j] += value[j] * value[j];
      shifted[j] += d;
      shifted_square[j] += d * d;
    }
  }
  const float count = static_cast<float>(rows);
  for (int j = 0; j < N; ++j) {
    const float along = shifted[j] / count;
    out[j] = {absolute[j], square[j], origin[j] + along, fmaxf(shifted_square[j] - shifted[j] * along, 0.0F)};
  }
}

// Of all chunks of a channel so far.
struct ColumnStatistics {
  double count = 0, absolute = 0, square = 0, mean = 0, deviations = 0;
};
ESPALIER_DEVICE void add_chunk(ColumnStatistics& sum, const ChunkStatistics& chunk, std::int64_t rows) {
  const double added = static_cast<double>(rows), count = sum.count + added, apart = chunk.mean - sum.mean;
  sum.absolute += chunk.absolute;
  sum.square += chunk.square;
  sum.mean += apart * (added / count);
  sum.deviations += chunk.deviations + apart * apart * (sum.count * added / count);
  sum.count = count;
}

}  // namespace espalier::arithmetic
