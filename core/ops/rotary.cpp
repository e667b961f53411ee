// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <numbers>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/cpu_kernels.hpp"
#include "core/ops/device_kernels.hpp"
#include "core/ops/fused.hpp"
#include "core/ops/ops.hpp"

namespace espalier {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kPositions = 32;  // a thread takes at least

// High frequencies stay, low ones are divided by the factor, those between are blended.
at::Tensor llama3_frequencies(const at::Tensor& plain, const Rope& rope) {
  const double positions = static_cast<double>(rope.original_max_positions);
  const double long_wave = positions / rope.low_freq_factor, short_wave = positions / rope.high_freq_factor;
  const at::Tensor wave = 2 * std::numbers::pi / plain;
  const at::Tensor scaled = at::where(wave > long_wave, plain / rope.factor, plain);
  const at::Tensor share = (positions / wave - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  const at::Tensor blended = (1 - share) * scaled / rope.factor + share * scaled;
  return at::where(at::logical_and(wave >= short_wave, wave <= long_wave), blended, scaled);
}

template <class T>
void rotate_positions(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, double sign, at::Tensor& y) {
  const std::int64_t heads = x.size(1), positions = x.size(2), width = x.size(3), rotary = cos.size(1);
  const T *in = x.const_data_ptr<T>(), *c = cos.const_data_ptr<T>(), *s = sin.const_data_ptr<T>();
  T* out = y.mutable_data_ptr<T>();
  const auto stride = x.strides();
  at::parallel_for(0, x.size(0) * positions, kPositions, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t batch = i / positions, t = i % positions;
      cpu::rotate<T>(in + batch * stride[0] + t * stride[2], stride[1], c + t * rotary, s + t * rotary,
                     static_cast<T>(sign), out + i * heads * width, heads, width, rotary);
    }
  });
}

// The result lies in memory as (B, T, N, D), as the projection before it and the attention after it like it.
at::Tensor fused_rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, double sign) {
  const at::Tensor in = x.stride(3) == 1 ? x : x.contiguous();
  at::Tensor y = at::empty({x.size(0), x.size(2), x.size(1), x.size(3)}, x.options());
  if (const DeviceKernels* kernels = device_kernels(x)) {
    kernels->rotate({.x = in, .cos = cos.contiguous(), .sin = sin.contiguous(), .y = y, .sign = sign});
  } else if (x.scalar_type() == at::kFloat) {
    rotate_positions<float>(in, cos, sin, sign, y);
  } else {
    rotate_positions<double>(in, cos, sin, sign, y);
  }
  return y.transpose(1, 2);
}

class FusedRotate : public torch::autograd::Function<FusedRotate> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return fused_rotate(x, cos, sin, 1);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    const variable_list saved = ctx->get_saved_variables();
    return {fused_rotate(grads[0], saved[0], saved[1], -1), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

// The operations and their precision are those of transformers, so that a position far out has the same angle there and
// here; float64 is for checks.
Rotary rotary_table(const Rope& rope, std::int64_t head_dim, std::int64_t positions, at::ScalarType dtype,
                    at::Device device) {
  const at::ScalarType precision = dtype == at::kDouble ? at::kDouble : at::kFloat;
  const auto options = at::TensorOptions(precision);
  const auto rotary = static_cast<std::int64_t>(static_cast<double>(head_dim) * rope.partial);
  at::Tensor frequencies = 1 / at::pow(rope.theta, at::arange(0, rotary, 2, options) / rotary);
  if (rope.type == "linear") frequencies = frequencies / rope.factor;
  if (rope.type == "llama3") frequencies = llama3_frequencies(frequencies, rope);
  const at::Tensor half = at::arange(positions, options).unsqueeze(1) * frequencies;
  const at::Tensor angles = at::cat({half, half}, 1);
  return {angles.cos().to(device, dtype), angles.sin().to(device, dtype)};
}

at::Tensor rotate(const at::Tensor& x, const Rotary& rotary) {
  const std::int64_t positions = x.size(2), width = rotary.cos.size(1);
  ESPALIER_CHECK(positions <= rotary.cos.size(0) && width <= x.size(3), positions, " positions, ", width, " channels");
  const bool whole = positions == rotary.cos.size(0);
  const at::Tensor cos = whole ? rotary.cos : rotary.cos.narrow(0, 0, positions);
  const at::Tensor sin = whole ? rotary.sin : rotary.sin.narrow(0, 0, positions);
  if ((has_fused_kernel(x) || device_kernels(x) != nullptr) && cos.scalar_type() == x.scalar_type()) {
    return wants_grad(x) ? FusedRotate::apply(x, cos, sin) : fused_rotate(x, cos, sin, 1);
  }
  const at::Tensor turned = x.narrow(3, 0, width);
  const at::Tensor first = turned.narrow(3, 0, width / 2), second = turned.narrow(3, width / 2, width / 2);
  const at::Tensor result = turned * cos + at::cat({-second, first}, 3) * sin;
  return width == x.size(3) ? result : at::cat({result, x.narrow(3, width, x.size(3) - width)}, 3);
}

}  // namespace espalier
