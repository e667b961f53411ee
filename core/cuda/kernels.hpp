// SPDX-License-Identifier: Apache-2.0
// The launchers: pointers, sizes and a stream, no tensors. Maths and accumulation rules are in core/ops/arithmetic, one
// header for each. They return at once; a launch that failed is found by cudaGetLastError().
#pragma once

#include <cstdint>

struct CUstream_st;

namespace espalier::cuda {

using Stream = CUstream_st*;  // cudaStream_t, without its header

enum class Number { f32, bf16, f16 };

// Every launcher: any width, any number of rows (0 too), rows of any alignment. Where width and addresses allow,
// elements move 16 bytes at a time, else one by one.

struct Norm {
  bool centred;
  float eps, offset;
  std::int64_t rows, width;
  const void *x, *residual, *weight, *bias;
  void *sum, *y;
  float *mean, *rstd;
};
void norm(Number number, const Norm& call, Stream stream);

// Sums over rows: group g adds up rows g, g + groups, g + 2·groups … in order into its row of `partial`
// (groups, width, or twice that with dbias: the second half is dbias'), then the groups are added in order.
inline constexpr std::int64_t kNormGroups = 264;
struct NormBackward {
  bool centred;
  float offset;
  std::int64_t rows, width, groups;  // groups: min(rows, kNormGroups)
  const void *dy, *dsum, *x, *weight;
  const float *mean, *rstd;
  void *dx, *dweight, *dbias;
  float* partial;
};
void norm_backward(Number number, const NormBackward& call, Stream stream);

// `function`: 0 SwiGLU's, 1 squared ReLU. `up` (and `dup`) null: no gate's partner.
struct Activate {
  int function;
  std::int64_t size;
  const void *gate, *up;
  void* y;
};
void activate(Number number, const Activate& call, Stream stream);
struct ActivateBackward {
  int function;
  std::int64_t size;
  const void *dy, *gate, *up;
  void *dgate, *dup;
};
void activate_backward(Number number, const ActivateBackward& call, Stream stream);

// x: element (b, n, t, d) at b·strides[0] + n·strides[1] + t·strides[2] + d; y: (b, t, n, d) without gaps.
struct Rotate {
  std::int64_t batch, heads, positions, width, rotary;
  std::int64_t strides[3];
  const void *x, *cos, *sin;
  void* y;
  float sign;
};
void rotate(Number number, const Rotate& call, Stream stream);

// Logits of float32, a gradient of any type. One block for a row.
struct KlPass {
  std::int64_t rows, width;
  float temperature, kl_scale, ce_scale;
  bool accumulate;
  const float *student, *teacher;
  const std::int64_t* labels;  // null, as `ce`, without cross entropy
  void* gradient;              // or null
  float *kl, *ce;
};
void kl_rows(Number gradient, const KlPass& call, Stream stream);

// x (samples, tokens, channels) → out (samples, 4, channels): Σ|x|, Σx², mean, Σ(x − mean)². `partial`: 4 floats for
// each sample, chunk of kStatisticsRows tokens, and channel.
struct Statistics {
  std::int64_t samples, tokens, channels;
  const void* x;
  float* partial;
  double* out;
};
void statistics(Number number, const Statistics& call, Stream stream);
std::int64_t statistics_chunks(std::int64_t tokens);

// The forms of core/ops/adamw.hpp; `bf16_moments`, `bf16_gradient`: what lies there instead of float32.
struct AdamW {
  std::int64_t size;
  bool bf16_moments, bf16_gradient;
  float keep, beta1, rest1, beta2, rest2, rate, correction, eps, factor;
  float* master;
  void *weight, *rest;
  const void* gradient;
  void *first, *second;
};
void adamw(const AdamW& call, Stream stream);

// out (outer, kept, inner) = x (outer, extent, inner) at index (kept), elements of `bytes` bytes.
struct Gather {
  std::int64_t outer, extent, kept, inner, bytes;
  const void* x;
  const std::int64_t* index;
  void* out;
};
void gather(const Gather& call, Stream stream);

}  // namespace espalier::cuda
