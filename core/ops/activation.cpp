// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
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

constexpr std::int64_t kGrain = 16384;  // elements a thread takes at least

template <class T>
const T* data_or_null(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}

template <class T>
void forward_elements(Activation activation, const at::Tensor& gate, const at::Tensor& up, at::Tensor& y) {
  const T *g = gate.const_data_ptr<T>(), *u = data_or_null<T>(up);
  T* out = y.mutable_data_ptr<T>();
  at::parallel_for(0, gate.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const auto kernel = activation == Activation::silu ? cpu::silu<T> : cpu::relu2<T>;
    kernel(g + begin, u == nullptr ? nullptr : u + begin, out + begin, end - begin);
  });
}

template <class T>
void backward_elements(Activation activation, const at::Tensor& dy, const at::Tensor& gate, const at::Tensor& up,
                       at::Tensor& dgate, at::Tensor& dup) {
  const T *out = dy.const_data_ptr<T>(), *g = gate.const_data_ptr<T>(), *u = data_or_null<T>(up);
  T *dg = dgate.mutable_data_ptr<T>(), *du = dup.defined() ? dup.mutable_data_ptr<T>() : nullptr;
  at::parallel_for(0, gate.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const auto kernel = activation == Activation::silu ? cpu::silu_backward<T> : cpu::relu2_backward<T>;
    kernel(out + begin, g + begin, u == nullptr ? nullptr : u + begin, dg + begin, u == nullptr ? nullptr : du + begin,
           end - begin);
  });
}

at::Tensor fused_forward(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  at::Tensor y = at::empty_like(gate);
  if (const DeviceKernels* kernels = device_kernels(gate)) {
    kernels->activation({activation, gate, up, y});
  } else if (gate.scalar_type() == at::kFloat) {
    forward_elements<float>(activation, gate, up, y);
  } else {
    forward_elements<double>(activation, gate, up, y);
  }
  return y;
}

// Keeps gate and up, which their projections made, and recomputes act(gate) in the backward pass.
class FusedActivation : public torch::autograd::Function<FusedActivation> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const std::optional<at::Tensor>& optional_up,
                            std::int64_t activation) {
    const at::Tensor up = optional_up.value_or(at::Tensor());
    ctx->save_for_backward({gate, up});
    ctx->saved_data["activation"] = activation;
    return fused_forward(static_cast<Activation>(activation), gate, up);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1];
    const at::Tensor dy = grads[0].contiguous();
    at::Tensor dgate = at::empty_like(gate), dup = up.defined() ? at::empty_like(up) : at::Tensor();
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    if (const DeviceKernels* kernels = device_kernels(gate)) {
      kernels->activation_backward({activation, dy, gate, up, dgate, dup});
    } else if (gate.scalar_type() == at::kFloat) {
      backward_elements<float>(activation, dy, gate, up, dgate, dup);
    } else {
      backward_elements<double>(activation, dy, gate, up, dgate, dup);
    }
    return {dgate, dup, at::Tensor()};
  }
};

}  // namespace

at::Tensor mlp_activation(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  const bool same = !up.defined() || up.scalar_type() == gate.scalar_type();
  if (has_fused_kernel(gate) || (same && device_kernels(gate) != nullptr)) {
    const at::Tensor g = gate.contiguous(), u = up.defined() ? up.contiguous() : up;
    if (wants_grad(gate) || wants_grad(up)) {
      const std::optional<at::Tensor> optional_up = u.defined() ? std::optional(u) : std::nullopt;
      return FusedActivation::apply(g, optional_up, static_cast<std::int64_t>(activation));
    }
    return fused_forward(activation, g, u);
  }
  const at::Tensor act = activation == Activation::silu ? at::silu(gate) : at::relu(gate).square();
  return up.defined() ? act * up : act;
}

}  // namespace espalier
