// SPDX-License-Identifier: Apache-2.0
#include "core/ops/cpu_kernels.hpp"

#include <cmath>

#include "core/ops/cpu_simd.hpp"

namespace espalier::cpu {
namespace {

// Beyond ±87 the sigmoid is 0 or 1 to float precision, and e^-x would leave the range.
template <class T>
ESPALIER_BODY T sigmoid(T x) {
  const T inside = x < T(-87) ? T(-87) : (x > T(87) ? T(87) : x);
  const T value = T(1) / (T(1) + exp_of(-inside));
  return x < T(-87) ? T(0) : value;
}

struct Silu {
  template <class T>
  static ESPALIER_BODY T value(T x) {
    return x * sigmoid(x);
  }
  template <class T>
  static ESPALIER_BODY void both(T x, T& value, T& slope) {
    const T s = sigmoid(x);
    value = x * s;
    slope = s + value * (T(1) - s);
  }
};

struct Relu2 {
  template <class T>
  static ESPALIER_BODY T value(T x) {
    const T r = x > T(0) ? x : T(0);
    return r * r;
  }
  template <class T>
  static ESPALIER_BODY void both(T x, T& value, T& slope) {
    const T r = x > T(0) ? x : T(0);
    value = r * r;
    slope = T(2) * r;
  }
};

struct RmsNorm {
  template <class T>
  static ESPALIER_BODY void run(const T* x, const T* weight, T* y, T* rstd, std::int64_t rows, std::int64_t width,
                                double eps) {
    for (std::int64_t row = 0; row < rows; ++row, x += width, y += width) {
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
      const T scale = T(1) / std::sqrt(sum / static_cast<T>(width) + static_cast<T>(eps));
      rstd[row] = scale;
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) y[i] = x[i] * scale * weight[i];
    }
  }
};

struct RmsNormBackward {
  template <class T>
  static ESPALIER_BODY void run(const T* dy, const T* x, const T* weight, const T* rstd, T* dx, T* dweight,
                                std::int64_t rows, std::int64_t width) {
    for (std::int64_t row = 0; row < rows; ++row, x += width, dy += width, dx += width) {
      const T scale = rstd[row];
      T dot = 0;
#pragma omp simd reduction(+ : dot)
      for (std::int64_t i = 0; i < width; ++i) dot += dy[i] * weight[i] * (x[i] * scale);
      const T mean = dot / static_cast<T>(width);
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        const T unit = x[i] * scale;  // scaled first: huge rows have scale 0 and must not overflow
        dx[i] = scale * (weight[i] * dy[i] - unit * mean);
        dweight[i] += dy[i] * unit;
      }
    }
  }
};

template <class Activation>
struct Gated {
  template <class T>
  static ESPALIER_BODY void run(const T* gate, const T* up, T* y, std::int64_t size) {
    if (up == nullptr) {
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) y[i] = Activation::value(gate[i]);
      return;
    }
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i) y[i] = Activation::value(gate[i]) * up[i];
  }
};

template <class Activation>
struct GatedBackward {
  template <class T>
  static ESPALIER_BODY void run(const T* dy, const T* gate, const T* up, T* dgate, T* dup, std::int64_t size) {
    if (up == nullptr) {
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) {
        T value, slope;
        Activation::both(gate[i], value, slope);
        dgate[i] = dy[i] * slope;
      }
      return;
    }
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i) {
      T value, slope;
      Activation::both(gate[i], value, slope);
      dgate[i] = dy[i] * up[i] * slope;
      dup[i] = dy[i] * value;
    }
  }
};

struct Rotate {
  template <class T>
  static ESPALIER_BODY void run(const T* x, std::int64_t x_stride, const T* cos, const T* sin, T sign, T* y,
                                std::int64_t heads, std::int64_t width, std::int64_t rotary) {
    const std::int64_t half = rotary / 2;
    for (std::int64_t head = 0; head < heads; ++head, x += x_stride, y += width) {
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const T first = x[i], second = x[i + half], s = sign * sin[i];
        y[i] = first * cos[i] - second * s;
        y[i + half] = second * cos[i] + first * s;
      }
      for (std::int64_t i = rotary; i < width; ++i) y[i] = x[i];
    }
  }
};

}  // namespace

template <class T>
void rms_norm(const T* x, const T* weight, T* y, T* rstd, std::int64_t rows, std::int64_t width, double eps) {
  run<RmsNorm>(x, weight, y, rstd, rows, width, eps);
}

template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const T* rstd, T* dx, T* dweight, std::int64_t rows,
                       std::int64_t width) {
  run<RmsNormBackward>(dy, x, weight, rstd, dx, dweight, rows, width);
}

template <class T>
void silu(const T* gate, const T* up, T* y, std::int64_t size) {
  run<Gated<Silu>>(gate, up, y, size);
}

template <class T>
void silu_backward(const T* dy, const T* gate, const T* up, T* dgate, T* dup, std::int64_t size) {
  run<GatedBackward<Silu>>(dy, gate, up, dgate, dup, size);
}

template <class T>
void relu2(const T* gate, const T* up, T* y, std::int64_t size) {
  run<Gated<Relu2>>(gate, up, y, size);
}

template <class T>
void relu2_backward(const T* dy, const T* gate, const T* up, T* dgate, T* dup, std::int64_t size) {
  run<GatedBackward<Relu2>>(dy, gate, up, dgate, dup, size);
}

template <class T>
void rotate(const T* x, std::int64_t x_stride, const T* cos, const T* sin, T sign, T* y, std::int64_t heads,
            std::int64_t width, std::int64_t rotary) {
  run<Rotate>(x, x_stride, cos, sin, sign, y, heads, width, rotary);
}

#define ESPALIER_KERNELS(T)                                                                                       \
  template void rms_norm<T>(const T*, const T*, T*, T*, std::int64_t, std::int64_t, double);                      \
  template void rms_norm_backward<T>(const T*, const T*, const T*, const T*, T*, T*, std::int64_t, std::int64_t); \
  template void silu<T>(const T*, const T*, T*, std::int64_t);                                                    \
  template void silu_backward<T>(const T*, const T*, const T*, T*, T*, std::int64_t);                             \
  template void relu2<T>(const T*, const T*, T*, std::int64_t);                                                   \
  template void relu2_backward<T>(const T*, const T*, const T*, T*, T*, std::int64_t);                            \
  template void rotate<T>(const T*, std::int64_t, const T*, const T*, T, T*, std::int64_t, std::int64_t, std::int64_t);
ESPALIER_KERNELS(float)
ESPALIER_KERNELS(double)

}  // namespace espalier::cpu
