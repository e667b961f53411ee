// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding of one position, half-split: with r rotary channels and i < r/2,
//   y[i] = x[i]·cos[i] − x[i + r/2]·sin[i];  y[i + r/2] = x[i + r/2]·cos[i] + x[i]·sin[i];  the channels from r on
//   pass.
// Backward is the rotation by −sin. No sums; float32 inside, one rounding.
#pragma once

#include "core/ops/arithmetic/number.hpp"

namespace espalier::arithmetic {

// `heads` vectors of `width` channels, `x_stride` apart in x and `width` apart in y; cos and sin are the position's.
template <class T>
struct RotaryPosition {
  const T *x, *cos, *sin;
  T* y;
  std::int64_t heads, width, rotary, x_stride;
  float sign;
};

// N divides rotary/2 and width − rotary.
template <int N, class T, class Team>
ESPALIER_DEVICE void rotate_position(Team& team, const RotaryPosition<T>& at) {
  const std::int64_t half = at.rotary / 2, of_head = at.width - half;  // elements a head hands to threads
  team.each(at.heads * of_head, [&](std::int64_t element) {
    const std::int64_t head = element / of_head, i = element % of_head;
    const T* const x = at.x + head * at.x_stride;
    T* const y = at.y + head * at.width;
    float first[N], second[N], c[N], s[N];
    if (i >= half) {
      load<N>(x + half + i, first);
      store<N>(first, y + half + i);
      return;
    }
    load<N>(x + i, first);
    load<N>(x + i + half, second);
    load<N>(at.cos + i, c);
    load<N>(at.sin + i, s);
    for (int j = 0; j < N; ++j) {
      const float turned = second[j] * c[j] + first[j] * (at.sign * s[j]);
      first[j] = first[j] * c[j] - second[j] * (at.sign * s[j]);
      second[j] = turned;
    }
    store<N>(first, y + i);
    store<N>(second, y + i + half);
  });
}

}  // namespace espalier::arithmetic
