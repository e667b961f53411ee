// SPDX-License-Identifier: Apache-2.0
// Where kernels of a device plug in: a module that is loaded for that device registers one table of functions, and the
// operations of this folder ask for it. Without a table, or for a dtype it does not have, they are ATen's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

#include "core/ops/adamw.hpp"
#include "core/ops/kl_rows.hpp"
#include "espalier/sdk/spec.hpp"

namespace espalier {

// Tensors of a call are contiguous unless something else is said, lie on one device and have one dtype (float32,
// bfloat16 or float16); sums and statistics are float32. Outputs are there already. R rows, H width.

// y = norm(x + residual): core/ops/arithmetic/norm.hpp.
struct NormCall {
  bool centred = false;  // LayerNorm, else RMSNorm
  double eps = 0, offset = 0;
  at::Tensor x, residual, weight, bias;  // (R, H), (R, H) or undefined, (H), (H) or undefined
  at::Tensor sum, y;                     // (R, H); sum is undefined without a residual
  at::Tensor mean, rstd;                 // (R) or undefined
};

struct NormBackwardCall {
  bool centred = false;
  double offset = 0;
  at::Tensor dy, dsum, x, weight, mean, rstd;  // x: what was normed; dsum (R, H) or undefined; mean with centring only
  at::Tensor dx;                               // (R, H)
  at::Tensor dweight, dbias;                   // (H) of the weight's dtype; dbias may be undefined
};

// y = act(gate)·up, or act(gate) with an undefined `up`; any shape.
struct ActivationCall {
  Activation activation = Activation::silu;
  at::Tensor gate, up, y;
};
struct ActivationBackwardCall {
  Activation activation = Activation::silu;
  at::Tensor dy, gate, up, dgate, dup;
};

// y (B, T, N, D) = rotate(x (B, N, T, D), any strides but the last, which is 1); cos and sin (T, rotary); sign −1 turns
// back.
struct RotateCall {
  at::Tensor x, cos, sin, y;
  double sign = 1;
};

// x (S, T, C) → out (S, 4, C) float64: see channel_statistics().
struct StatisticsCall {
  at::Tensor x, out;
};

// out = x.index_select(dim, index), of any dtype; index (k) int64, in range.
struct GatherCall {
  at::Tensor x, index, out;
  std::int64_t dim = 0;
};

// Launches that were recorded once and are played again as one.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void play() = 0;  // on the current stream
};

// All entries are there.
struct DeviceKernels {
  void (*norm)(const NormCall&);
  void (*norm_backward)(const NormBackwardCall&);
  void (*activation)(const ActivationCall&);
  void (*activation_backward)(const ActivationBackwardCall&);
  void (*rotate)(const RotateCall&);
  void (*kl_rows)(const KlRows&);
  void (*adamw)(const AdamWUpdate&);
  void (*statistics)(const StatisticsCall&);
  void (*gather)(const GatherCall&);
  // What `work` launches, without doing it. Throws what `work` throws, and where it waits for the device.
  std::unique_ptr<Recording> (*record)(at::Device device, const std::function<void()>& work);
};

// The table must outlive the process; nullptr takes it away again. Not while operations run.
void register_device_kernels(at::DeviceType device, const DeviceKernels* kernels);

// The table of a device, or nullptr; for x also where x's dtype is not one of its.
const DeviceKernels* kernels_of(at::Device device);
const DeviceKernels* device_kernels(const at::Tensor& x);

}  // namespace espalier
