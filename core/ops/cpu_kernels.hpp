// SPDX-License-Identifier: Apache-2.0
// Fused element-wise loops for the CPU: one pass over memory where a chain of tensor operations makes many. Plain
// pointers and sizes, contiguous unless strides are given; single-threaded, the caller splits the rows. Rows do not
// depend on how they are split, so results do not depend on the number of threads.
// T is float or double; double is for checking derivatives.
#pragma once

#include <cstdint>

namespace espalier::cpu {

// y = x · rstd · weight with rstd = 1/sqrt(mean(x²) + eps); rstd (rows) is kept for the backward pass.
template <class T>
void rms_norm(const T* x, const T* weight, T* y, T* rstd, std::int64_t rows, std::int64_t width, double eps);

// dx = rstd · (w·dy − x̂ · mean(w·dy·x̂)) with x̂ = x·rstd;  dweight (width) += Σ rows dy·x̂.
template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const T* rstd, T* dx, T* dweight, std::int64_t rows,
                       std::int64_t width);

// act(gate)·up and its derivatives; `up` and `dup` are null without a gate.
template <class T>
void silu(const T* gate, const T* up, T* y, std::int64_t size);
template <class T>
void silu_backward(const T* dy, const T* gate, const T* up, T* dgate, T* dup, std::int64_t size);
template <class T>
void relu2(const T* gate, const T* up, T* y, std::int64_t size);
template <class T>
void relu2_backward(const T* dy, const T* gate, const T* up, T* dgate, T* dup, std::int64_t size);

// Rotates the first `rotary` channels of `heads` vectors of one position (half-split) and copies the rest. Heads are
// `x_stride` apart in x and `width` in y. cos and sin are the position's; `sign` −1 turns back.
template <class T>
void rotate(const T* x, std::int64_t x_stride, const T* cos, const T* sin, T sign, T* y, std::int64_t heads,
            std::int64_t width, std::int64_t rotary);

}  // namespace espalier::cpu
