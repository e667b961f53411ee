// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/cpu_kernels.hpp"
#include "core/ops/device_norm.hpp"
#include "core/ops/fused.hpp"
#include "core/ops/ops.hpp"

namespace espalier {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kRows = 64;  // per task and per partial sum of dweight: fixed, so that sums are, too

template <class T>
void forward_rows(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y, at::Tensor& rstd) {
  const std::int64_t width = x.size(-1), rows = rstd.numel();
  const T *in = x.const_data_ptr<T>(), *scale = weight.const_data_ptr<T>();
  T *out = y.mutable_data_ptr<T>(), *kept = rstd.mutable_data_ptr<T>();
  at::parallel_for(0, rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    cpu::rms_norm(in + begin * width, scale, out + begin * width, kept + begin, end - begin, width, eps);
  });
}

template <class T>
void backward_rows(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                   at::Tensor& dx, at::Tensor& partial) {
  const std::int64_t width = x.size(-1), rows = rstd.numel();
  const T *out = dy.const_data_ptr<T>(), *in = x.const_data_ptr<T>(), *w = weight.const_data_ptr<T>();
  const T* scale = rstd.const_data_ptr<T>();
  T *din = dx.mutable_data_ptr<T>(), *sums = partial.mutable_data_ptr<T>();
  at::parallel_for(0, partial.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      const std::int64_t first = chunk * kRows, count = std::min(kRows, rows - first), at = first * width;
      cpu::rms_norm_backward(out + at, in + at, w, scale + first, din + at, sums + chunk * width, count, width);
    }
  });
}

std::pair<at::Tensor, at::Tensor> fused_forward(const at::Tensor& x, const at::Tensor& weight, double eps) {
  at::Tensor y = at::empty(x.sizes(), x.options());
  at::Tensor rstd = at::empty({x.size(-1) > 0 ? x.numel() / x.size(-1) : 0}, x.options());
  if (x.scalar_type() == at::kFloat) {
    forward_rows<float>(x, weight, eps, y, rstd);
  } else {
    forward_rows<double>(x, weight, eps, y, rstd);
  }
  return {y, rstd};
}

class FusedRmsNorm : public torch::autograd::Function<FusedRmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, double eps) {
    auto [y, rstd] = fused_forward(x, weight, eps);
    ctx->save_for_backward({x, weight, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &rstd = saved[2];
    const at::Tensor dy = grads[0].contiguous();
    at::Tensor dx = at::empty(x.sizes(), x.options());
    at::Tensor partial = at::zeros({(rstd.numel() + kRows - 1) / kRows, x.size(-1)}, x.options());
    if (x.scalar_type() == at::kFloat) {
      backward_rows<float>(dy, x, weight, rstd, dx, partial);
    } else {
      backward_rows<double>(dy, x, weight, rstd, dx, partial);
    }
    return {dx, partial.sum(0), at::Tensor()};
  }
};

// Statistics in float32 (float64 for float64 data), as in transformers.
at::Tensor wide(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); }

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& kept) {
  if (!kept.defined()) {
    if (const auto done = device_norm({false, eps, 0}, x, {}, weight, {})) return done->normed;
  }
  const bool same = weight.scalar_type() == x.scalar_type();
  if (!kept.defined() && same && has_fused_kernel(x)) {
    const at::Tensor flat = x.contiguous(), scale = weight.contiguous();
    if (wants_grad(x) || wants_grad(weight)) return FusedRmsNorm::apply(flat, scale, eps);
    return fused_forward(flat, scale, eps).first;
  }
  if (!kept.defined() && same && x.device().is_cuda()) return at::rms_norm(x, {x.size(-1)}, weight, eps);
  const at::Tensor values = wide(x);
  at::Tensor mean;
  if (kept.defined()) {
    const at::Tensor mask = kept.to(values.scalar_type());
    mean = (values * mask).square().sum(-1, true) / mask.sum();
    return (values * at::rsqrt(mean + eps) * mask).to(x.scalar_type()) * weight;
  }
  mean = values.square().mean(-1, true);
  return (values * at::rsqrt(mean + eps)).to(x.scalar_type()) * weight;
}

at::Tensor layer_norm_1p(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps,
                         const at::Tensor& kept) {
  if (!kept.defined()) {
    if (const auto done = device_norm({true, eps, 1}, x, {}, weight, bias)) return done->normed;
    return at::layer_norm(x, {x.size(-1)}, weight + 1, bias, eps);
  }
  const at::Tensor values = wide(x), mask = kept.to(values.scalar_type()), number = mask.sum();
  const at::Tensor centred = (values - (values * mask).sum(-1, true) / number) * mask;
  const at::Tensor variance = centred.square().sum(-1, true) / number;
  const at::Tensor unit = (centred * at::rsqrt(variance + eps)).to(x.scalar_type());
  return unit * (weight + 1) + bias * kept.to(x.scalar_type());
}

NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& branch, const at::Tensor& weight, double eps,
                       const at::Tensor& kept) {
  if (!kept.defined()) {
    if (const auto done = device_norm({false, eps, 0}, x, branch, weight, {})) return *done;
  }
  const at::Tensor sum = x + branch;
  return {sum, rms_norm(sum, weight, eps, kept)};
}

NormedSum add_layer_norm_1p(const at::Tensor& x, const at::Tensor& branch, const at::Tensor& weight,
                            const at::Tensor& bias, double eps, const at::Tensor& kept) {
  if (!kept.defined()) {
    if (const auto done = device_norm({true, eps, 1}, x, branch, weight, bias)) return *done;
  }
  const at::Tensor sum = x + branch;
  return {sum, layer_norm_1p(sum, weight, bias, eps, kept)};
}

}  // namespace espalier
