// SPDX-License-Identifier: Apache-2.0
// The MLP's inner function, element by element: y = act(gate)·up, or act(gate) without a gate's partner.
//   SwiGLU: act(x) = x·σ(x), act'(x) = σ(x) + x·σ(x)·(1 − σ(x));  squared ReLU: act(x) = max(x, 0)², act'(x) = 2·max(x,
//   0) dgate = dy·up·act'(gate);  dup = dy·act(gate)
// No sums. Float32 inside, one rounding at the end.
#pragma once

#include "core/ops/arithmetic/number.hpp"

namespace espalier::arithmetic {

struct ValueAndSlope {
  float value, slope;
};

struct Silu {
  static ESPALIER_DEVICE ValueAndSlope at(float x) {
    const float sigmoid = 1.0F / (1.0F + expf(-x)), value = x * sigmoid;
    return {value, sigmoid + value * (1.0F - sigmoid)};
  }
};

struct SquaredRelu {
  static ESPALIER_DEVICE ValueAndSlope at(float x) {
    const float positive = fmaxf(x, 0.0F);
    return {positive * positive, 2.0F * positive};
  }
};

// `up` may be null.
template <class Function, int N, class T>
ESPALIER_DEVICE void activate(const T* gate, const T* up, T* y, std::int64_t i) {
  float g[N], u[N];
  load<N>(gate + i, g);
  if (up != nullptr) load<N>(up + i, u);
  for (int j = 0; j < N; ++j) {
    const float value = Function::at(g[j]).value;
    g[j] = up != nullptr ? value * u[j] : value;
  }
  store<N>(g, y + i);
}

// `up` and `dup` are both there or both null.
template <class Function, int N, class T>
ESPALIER_DEVICE void activate_backward(const T* dy, const T* gate, const T* up, T* dgate, T* dup, std::int64_t i) {
  float d[N], g[N], u[N];
  load<N>(dy + i, d);
  load<N>(gate + i, g);
  if (up != nullptr) load<N>(up + i, u);
  for (int j = 0; j < N; ++j) {
    const ValueAndSlope both = Function::at(g[j]);
    g[j] = d[j] * both.slope * (up != nullptr ? u[j] : 1.0F);
    u[j] = d[j] * both.value;
  }
  store<N>(g, dgate + i);
  if (dup != nullptr) store<N>(u, dup + i);
}

}  // namespace espalier::arithmetic
