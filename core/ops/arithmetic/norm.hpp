// SPDX-License-Identifier: Apache-2.0
// RMSNorm and LayerNorm over rows of `width` elements, with the residual sum before it:
//   s = x + residual;  mean = Σs / width (0 without centring);  rstd = 1/sqrt(Σ(s − mean)² / width + eps)
//   y = (s − mean)·rstd·(weight + offset) + bias
// offset is 1 for LayerNorm1P, else 0. Backward, with g = dy·(weight + offset) and u = (s − mean)·rstd:
//   ds = dsum + rstd·(g − u·Σ(g·u)/width − Σg/width)    (the last sum with centring only)
//   dweight = Σ rows dy·u;  dbias = Σ rows dy
// Accumulation: all sums and statistics in float32, of s as it is stored (rounded to T); y and ds are rounded once.
#pragma once

#include "core/ops/arithmetic/number.hpp"

namespace espalier::arithmetic {

// One row. `residual` and `sum` are both there or both null; `bias`, `mean` and `rstd` may be null.
template <class T>
struct NormRow {
  const T *x, *residual, *weight, *bias;
  T *sum, *y;
  float *mean, *rstd;
  std::int64_t width;
  float eps, offset;
};

template <bool kCentred, int N, class T, class Team>
ESPALIER_DEVICE void norm_row(Team& team, const NormRow<T>& row) {
  const float count = static_cast<float>(row.width);
  const auto first_read = [&](std::int64_t i, float(&s)[N]) {
    load<N>(row.x + i, s);
    if (row.residual == nullptr) return;
    float other[N];
    load<N>(row.residual + i, other);
    for (int j = 0; j < N; ++j) s[j] = wide(narrow<T>(s[j] + other[j]));
    store<N>(s, row.sum + i);
  };
  const T* const values = row.residual == nullptr ? row.x : row.sum;
  const auto merge = [](const Sum& a, const Sum& b) { return merged(a, b); };
  float mean = 0;
  if constexpr (kCentred) {
    const auto add = [&](Sum& sum, std::int64_t i) {
      float s[N];
      first_read(i, s);
      for (int j = 0; j < N; ++j) sum.value += s[j];
    };
    mean = team.reduce(row.width, Sum{}, add, merge).value / count;
  }
  const auto add_squares = [&](Sum& sum, std::int64_t i) {
    float s[N];
    if constexpr (kCentred) {
      load<N>(values + i, s);
    } else {
      first_read(i, s);
    }
    for (int j = 0; j < N; ++j) sum.value += (s[j] - mean) * (s[j] - mean);
  };
  const float rstd = 1.0F / sqrtf(team.reduce(row.width, Sum{}, add_squares, merge).value / count + row.eps);
  team.each(row.width, [&](std::int64_t i) {
    float s[N], w[N], b[N] = {};
    load<N>(values + i, s);
    load<N>(row.weight + i, w);
    if (row.bias != nullptr) load<N>(row.bias + i, b);
    for (int j = 0; j < N; ++j) s[j] = (s[j] - mean) * rstd * (w[j] + row.offset) + b[j];
    store<N>(s, row.y + i);
  });
  team.once([&] {
    if (row.mean != nullptr) *row.mean = mean;
    if (row.rstd != nullptr) *row.rstd = rstd;
  });
}

// One row; `dsum` may be null. `dweight` and `dbias` (width; dbias may be null) are added to: each element by the
// thread that owns it, so a team that goes through its rows in order leaves the same sums every time.
template <class T>
struct NormBackwardRow {
  const T *dy, *dsum, *x, *weight;
  float mean, rstd;
  T* dx;
  float *dweight, *dbias;
  std::int64_t width;
  float offset;
};

template <bool kCentred, int N, class T, class Team>
ESPALIER_DEVICE void norm_backward_row(Team& team, const NormBackwardRow<T>& row) {
  const float count = static_cast<float>(row.width);
  const auto read = [&](std::int64_t i, float(&dy)[N], float(&g)[N], float(&unit)[N]) {
    float w[N];
    load<N>(row.dy + i, dy);
    load<N>(row.x + i, unit);
    load<N>(row.weight + i, w);
    for (int j = 0; j < N; ++j) {
      unit[j] = (unit[j] - row.mean) * row.rstd;  // scaled first: huge rows have rstd 0 and must not overflow
      g[j] = dy[j] * (w[j] + row.offset);
    }
  };
  const auto add = [&](TwoSums& sums, std::int64_t i) {
    float dy[N], g[N], unit[N];
    read(i, dy, g, unit);
    for (int j = 0; j < N; ++j) {
      sums.first += g[j] * unit[j];
      sums.second += g[j];
    }
  };
  const TwoSums sums =
      team.reduce(row.width, TwoSums{}, add, [](const TwoSums& a, const TwoSums& b) { return merged(a, b); });
  const float along = sums.first / count, mean = kCentred ? sums.second / count : 0.0F;
  team.each(row.width, [&](std::int64_t i) {
    float dy[N], g[N], unit[N], through[N] = {};
    read(i, dy, g, unit);
    if (row.dsum != nullptr) load<N>(row.dsum + i, through);
    for (int j = 0; j < N; ++j) {
      through[j] += row.rstd * (g[j] - unit[j] * along - mean);
      row.dweight[i + j] += dy[j] * unit[j];
      if (row.dbias != nullptr) row.dbias[i + j] += dy[j];
    }
    store<N>(through, row.dx + i);
  });
}

}  // namespace espalier::arithmetic
