// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string_view>
#include <vector>

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/cpu_product.hpp"
#include "core/ops/fused.hpp"
#include "core/ops/ops.hpp"

namespace espalier {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// LibTorch multiplies float32 matrices with MKL, which leaves AVX-512 unused on CPUs of other makers: half the speed.
// oneDNN, which is in LibTorch too, does not look at the maker. A function of the CPU alone, so that results are.
bool onednn_is_faster() {
#if defined(__x86_64__)
  static const bool faster = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && !__builtin_cpu_is("intel") && at::globalContext().userEnabledMkldnn() &&
           c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""}).has_value();
  }();
  return faster;
#else
  return false;
#endif
}

bool use_onednn(const at::Tensor& x, const at::Tensor& weight) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat && x.numel() > 0 &&
         weight.numel() > 0 && onednn_is_faster();
}

// A call of oneDNN costs about 10 µs before it multiplies. A token of a small model is made of such products, so they
// go to MKL while text is generated (inference mode). Not elsewhere: there the bytes of a row may not hang on how many
// rows stand beside it.
bool too_small(const at::Tensor& x, const at::Tensor& weight) {
  constexpr std::int64_t kLeastWork = 1 << 18;  // multiplications
  return c10::InferenceMode::is_enabled() && x.numel() * weight.size(0) < kLeastWork;
}

// x (rows, in) · weightᵀ (in, out) + bias, for any strides.
at::Tensor onednn(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias = {}) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return op.call(x, weight, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

// A weight's gradient, aᵀ · b with a given as a view of a matrix that lies the other way: oneDNN would turn it around
// first. Results beyond a core's cache are its business again.
bool is_small_gradient(const at::Tensor& a, const at::Tensor& b) {
  constexpr std::int64_t kMost = 512 * 512;
  return a.dim() == 2 && b.dim() == 2 && a.stride(0) == 1 && a.stride(1) == a.size(0) && b.is_contiguous() &&
         a.size(0) * b.size(1) <= kMost;
}

void small_gradient(const at::Tensor& a, const at::Tensor& b, at::Tensor& out, bool add) {
  const std::int64_t rows = b.size(0), m = a.size(0), n = b.size(1);
  const float *left = a.const_data_ptr<float>(), *right = b.const_data_ptr<float>();
  float* const result = out.mutable_data_ptr<float>();
  at::parallel_for(0, (n + cpu::kProductColumns - 1) / cpu::kProductColumns, 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t task = begin; task < end; ++task)
                       cpu::transposed_product(left, right, result, rows, m, n, task * cpu::kProductColumns, add);
                   });
}

class OnednnLinear : public torch::autograd::Function<OnednnLinear> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["has_bias"] = bias.has_value();
    return onednn(x, weight, bias);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], dy = grads[0].contiguous();
    variable_list result(3);
    if (ctx->needs_input_grad(0)) result[0] = onednn(dy, weight.t());
    if (ctx->needs_input_grad(1)) result[1] = product(dy.t(), x);
    if (ctx->saved_data["has_bias"].toBool() && ctx->needs_input_grad(2)) result[2] = dy.sum(0);
    return result;
  }
};

}  // namespace

at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> added = bias.defined() ? std::optional(bias) : std::nullopt;
  if (!use_onednn(x, weight) || too_small(x, weight)) return at::linear(x, weight, added);
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  const bool train = wants_grad(x) || wants_grad(weight) || wants_grad(bias);
  const at::Tensor y = train ? OnednnLinear::apply(rows, weight, added) : onednn(rows, weight, added);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return y.view(shape);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  if (!use_onednn(a, b) || wants_grad(a) || wants_grad(b)) return at::mm(a, b);
  if (is_small_gradient(a, b)) {
    at::Tensor out = at::empty({a.size(0), b.size(1)}, b.options());
    small_gradient(a, b, out, false);
    return out;
  }
  return onednn(a, b.t());
}

void product_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  const at::ScalarType wide = out.scalar_type();
  if (a.scalar_type() != wide && a.is_cuda()) {  // into `out` itself: nothing as large beside it
    accumulate ? at::addmm_out(out, out, a, b, wide) : at::mm_out(out, a, b, wide);
  } else if (a.scalar_type() != wide) {
    accumulate ? out.add_(at::mm(a, b)) : out.copy_(at::mm(a, b));
  } else if (use_onednn(a, b) && is_small_gradient(a, b) && out.is_contiguous()) {
    small_gradient(a, b, out, accumulate);
  } else if (use_onednn(a, b)) {  // it has no form that writes into a tensor
    accumulate ? out.add_(onednn(a, b.t())) : out.copy_(onednn(a, b.t()));
  } else {
    accumulate ? out.addmm_(a, b) : at::mm_out(out, a, b);
  }
}

}  // namespace espalier
