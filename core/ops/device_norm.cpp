// SPDX-License-Identifier: Apache-2.0
#include "core/ops/device_norm.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/device_kernels.hpp"
#include "core/ops/fused.hpp"

namespace espalier {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

NormCall norm_call(const NormKind& kind, const at::Tensor& x, const at::Tensor& branch, const at::Tensor& weight,
                   const at::Tensor& bias) {
  NormCall call{.centred = kind.centred,
                .eps = kind.eps,
                .offset = kind.offset,
                .x = x,
                .residual = branch,
                .weight = weight,
                .bias = bias,
                .sum = {},
                .y = at::empty_like(x),
                .mean = {},
                .rstd = {}};
  if (branch.defined()) call.sum = at::empty_like(x);
  return call;
}

at::Tensor row_statistic(const at::Tensor& x) {
  return at::empty({x.size(-1) > 0 ? x.numel() / x.size(-1) : 0}, x.options().dtype(at::kFloat).requires_grad(false));
}

// Keeps the sum, which the rest of the layer keeps anyway, and one or two numbers for each row.
class DeviceNorm : public torch::autograd::Function<DeviceNorm> {
 public:
  // → {y} or, with a branch, {y, sum}
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const std::optional<at::Tensor>& branch,
                               const at::Tensor& weight, const std::optional<at::Tensor>& bias, bool centred,
                               double eps, double offset) {
    NormCall call =
        norm_call({centred, eps, offset}, x, branch.value_or(at::Tensor()), weight, bias.value_or(at::Tensor()));
    call.rstd = row_statistic(x);
    if (centred) call.mean = row_statistic(x);
    device_kernels(x)->norm(call);
    ctx->save_for_backward({branch ? call.sum : x, weight, call.mean, call.rstd});
    ctx->saved_data["centred"] = centred;
    ctx->saved_data["offset"] = offset;
    ctx->saved_data["branch"] = branch.has_value();
    ctx->saved_data["bias"] = bias.has_value();
    ctx->set_materialize_grads(false);
    if (!branch) return {call.y};
    return {call.y, call.sum};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    const variable_list saved = ctx->get_saved_variables();
    const bool branch = ctx->saved_data["branch"].toBool(), bias = ctx->saved_data["bias"].toBool();
    const at::Tensor dsum = branch ? grads[1] : at::Tensor();
    variable_list result(7);
    if (!grads[0].defined()) {  // nobody used the normed values
      result[0] = dsum;
    } else {
      NormBackwardCall call{.centred = ctx->saved_data["centred"].toBool(),
                            .offset = ctx->saved_data["offset"].toDouble(),
                            .dy = grads[0].contiguous(),
                            .dsum = dsum.defined() ? dsum.contiguous() : dsum,
                            .x = saved[0],
                            .weight = saved[1],
                            .mean = saved[2],
                            .rstd = saved[3],
                            .dx = at::empty_like(saved[0]),
                            .dweight = at::zeros_like(saved[1]),
                            .dbias = {}};
      if (bias) call.dbias = at::zeros_like(saved[1]);
      device_kernels(call.x)->norm_backward(call);
      result[0] = call.dx, result[2] = call.dweight, result[3] = call.dbias;
    }
    if (branch) result[1] = result[0];
    return result;
  }
};

std::optional<at::Tensor> optional(const at::Tensor& x) { return x.defined() ? std::optional(x) : std::nullopt; }

}  // namespace

std::optional<NormedSum> device_norm(const NormKind& kind, const at::Tensor& x, const at::Tensor& branch,
                                     const at::Tensor& weight, const at::Tensor& bias) {
  const DeviceKernels* kernels = device_kernels(x);
  const auto same = [&](const at::Tensor& other) { return !other.defined() || other.scalar_type() == x.scalar_type(); };
  if (kernels == nullptr || !same(branch) || !same(weight) || !same(bias)) return std::nullopt;
  const at::Tensor rows = x.contiguous(), scale = weight.contiguous();
  const at::Tensor added = branch.defined() ? branch.contiguous() : branch,
                   shift = bias.defined() ? bias.contiguous() : bias;
  if (wants_grad(x) || wants_grad(branch) || wants_grad(weight) || wants_grad(bias)) {
    const variable_list out =
        DeviceNorm::apply(rows, optional(added), scale, optional(shift), kind.centred, kind.eps, kind.offset);
    return NormedSum{branch.defined() ? out[1] : x, out[0]};
  }
  const NormCall call = norm_call(kind, rows, added, scale, shift);
  kernels->norm(call);
  return NormedSum{branch.defined() ? call.sum : x, call.y};
}

}  // namespace espalier
