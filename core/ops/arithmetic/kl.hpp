// SPDX-License-Identifier: Apache-2.0
// Forward KL, cross entropy and their gradient over one row of `width` logits; a teacher, b student, τ temperature:
//   p = softmax(a/τ), q = softmax(b/τ), s = softmax(b)
//   kl = Σ p (a − b)/τ − LSE(a/τ) + LSE(b/τ),  ce = LSE(b) − b[label]
//   gradient = kl_scale·(q − p) + ce_scale·(s − onehot(label))        (kl_scale holds the 1/τ)
// Two reads. The first keeps five numbers for what it has seen so far (six with cross entropy):
//   max_a = max a, sum_a = Σ e^((a − max_a)/τ), max_b, sum_b likewise,
//   cross = Σ e^((a − max_a)/τ) · ((a − b) − (max_a − max_b))
// so that kl = cross/(sum_a τ) − ln sum_a + ln sum_b. Differences are taken element by element: where p ≈ q two
// separate sums would cancel, and so would a common offset of the logits. Accumulation: float32 throughout; a thread
// goes through its packs in order, partial results are merged by the team's tree. Merging rescales both to the common
// maxima. A column with a = −inf counts nothing. One with b = −inf and a finite costs p·1e30. A row without any finite
// logit gives NaN.
#pragma once

#include "core/ops/arithmetic/number.hpp"

namespace espalier::arithmetic {

inline constexpr float kFarthest = 1e30F;  // stands for infinity where it would make 0·inf

struct KlState {
  float max_a, sum_a, cross, max_b, sum_b, sum_ce;
};
ESPALIER_DEVICE KlState kl_start() { return {-INFINITY, 0, 0, -INFINITY, 0, 0}; }

// log2(e)/τ for the two distributions, and log2(e) for the cross entropy's.
struct KlFactors {
  float soft, plain;
};

ESPALIER_DEVICE float within_range(float x) { return fminf(fmaxf(x, -kFarthest), kFarthest); }
ESPALIER_DEVICE float offset_of(float max_a, float max_b) { return within_range(max_a) - within_range(max_b); }

// 2^((x − max)·factor), 0 for a masked column even while nothing else was seen.
ESPALIER_DEVICE float weight_of(float x, float max, float factor) {
  return x == -INFINITY ? 0.0F : exp2f((x - max) * factor);
}

// To larger maxima.
template <bool kCe>
ESPALIER_DEVICE void raise(KlState& state, float max_a, float max_b, const KlFactors& factors) {
  if (max_a == state.max_a && max_b == state.max_b) return;
  const float a = weight_of(state.max_a, max_a, factors.soft), b = weight_of(state.max_b, max_b, factors.soft);
  state.cross = a * (state.cross + state.sum_a * (offset_of(state.max_a, state.max_b) - offset_of(max_a, max_b)));
  state.sum_a *= a;
  state.sum_b *= b;
  if constexpr (kCe) state.sum_ce *= weight_of(state.max_b, max_b, factors.plain);
  state.max_a = max_a;
  state.max_b = max_b;
}

template <bool kCe, int N>
ESPALIER_DEVICE void kl_step(KlState& state, const float (&a)[N], const float (&b)[N], const KlFactors& factors) {
  float max_a = state.max_a, max_b = state.max_b;
  for (int i = 0; i < N; ++i) {
    max_a = fmaxf(max_a, a[i]);
    max_b = fmaxf(max_b, b[i]);
  }
  raise<kCe>(state, max_a, max_b, factors);
  const float offset = offset_of(max_a, max_b);
  for (int i = 0; i < N; ++i) {
    const float of_a = weight_of(a[i], max_a, factors.soft);
    state.sum_a += of_a;
    state.sum_b += weight_of(b[i], max_b, factors.soft);
    if constexpr (kCe) state.sum_ce += weight_of(b[i], max_b, factors.plain);
    if (of_a > 0) state.cross += of_a * (within_range(a[i] - fmaxf(b[i], -kFarthest)) - offset);
  }
}

template <bool kCe>
ESPALIER_DEVICE KlState merged(KlState x, KlState y, const KlFactors& factors) {
  const float max_a = fmaxf(x.max_a, y.max_a), max_b = fmaxf(x.max_b, y.max_b);
  raise<kCe>(x, max_a, max_b, factors);
  raise<kCe>(y, max_a, max_b, factors);
  return {max_a, x.sum_a + y.sum_a, x.cross + y.cross, max_b, x.sum_b + y.sum_b, x.sum_ce + y.sum_ce};
}

// One row of logits of type T and of the gradient of type G, which may be the student's own place. `ce` and `gradient`
// may be null; `label` counts with `ce` only.
template <class T, class G>
struct KlRow {
  const T *student, *teacher;
  G* gradient;
  float *kl, *ce;
  std::int64_t label, width;
  float temperature, kl_scale, ce_scale;
  bool accumulate;
};

template <bool kCe, int N, class T, class G, class Team>
ESPALIER_DEVICE void kl_row(Team& team, const KlRow<T, G>& row) {
  constexpr float kLog2E = 1.44269504F;
  const KlFactors factors{kLog2E / row.temperature, kLog2E};
  const KlState end = team.reduce(
      row.width, kl_start(),
      [&](KlState& state, std::int64_t i) {
        float a[N], b[N];
        load<N>(row.teacher + i, a);
        load<N>(row.student + i, b);
        kl_step<kCe>(state, a, b, factors);
      },
      [&](const KlState& x, const KlState& y) { return merged<kCe>(x, y, factors); });
  const float log_ce = kCe ? logf(end.sum_ce) : 0.0F;
  const float of_label = kCe ? wide(row.student[row.label]) : 0.0F;  // before the gradient may take its place
  team.once([&] {
    *row.kl = end.cross / (end.sum_a * row.temperature) - logf(end.sum_a) + logf(end.sum_b);
    if constexpr (kCe) *row.ce = log_ce - (of_label - end.max_b);
  });
  if (row.gradient == nullptr) return;
  team.wait();
  const float of_a = 1.0F / end.sum_a, of_b = 1.0F / end.sum_b, of_ce = kCe ? 1.0F / end.sum_ce : 0.0F;
  team.each(row.width, [&](std::int64_t i) {
    float a[N], b[N], g[N] = {};
    load<N>(row.teacher + i, a);
    load<N>(row.student + i, b);
    if (row.accumulate) load<N>(row.gradient + i, g);
    for (int j = 0; j < N; ++j) {
      const float p = weight_of(a[j], end.max_a, factors.soft) * of_a;
      const float q = weight_of(b[j], end.max_b, factors.soft) * of_b;
      g[j] += row.kl_scale * (q - p);
      if constexpr (kCe) {
        // The label's own entry is s − 1: from expm1, which keeps its digits where s is almost 1.
        const bool label = i + j == row.label;
        const float s = label ? expm1f((b[j] - end.max_b) - log_ce) : weight_of(b[j], end.max_b, factors.plain) * of_ce;
        g[j] += row.ce_scale * s;
      }
    }
    store<N>(g, row.gradient + i);
  });
}

}  // namespace espalier::arithmetic
