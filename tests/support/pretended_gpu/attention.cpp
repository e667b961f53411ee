// SPDX-License-Identifier: Apache-2.0
// scaled_dot_product_attention as a GPU has it when plain products are switched off: FlashAttention-2 where there is no
// mask, the memory-efficient kernel where there is one, and none for what neither takes. Values are those of LibTorch's
// CPU kernel; results are laid out as the GPU's are, (B, T, N, D) in memory, and the backward pass takes the memory
// that flash_attn/flash_api.cpp of LibTorch takes in its deterministic form, on a GPU with 132 multiprocessors.
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "memory.hpp"
#include "views.hpp"

namespace espalier::pretended_gpu {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kMultiprocessors = 132;

std::int64_t rounded_up(std::int64_t number, std::int64_t unit) { return (number + unit - 1) / unit * unit; }

void check_kernel(const at::Tensor& q, const at::Tensor& k, const at::Tensor& mask) {
  const bool narrow = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  const bool flash = !mask.defined() && narrow && q.size(3) <= 256;
  const bool efficient = q.size(1) == k.size(1) && q.size(3) * q.element_size() % 16 == 0;
  TORCH_CHECK(flash || efficient, "No available kernel. Aborting execution.");
}

// Heads of a group beside each other, as many as there are of queries.
at::Tensor for_each_head(const at::Tensor& x, std::int64_t heads) {
  return x.size(1) == heads ? x : x.repeat_interleave(heads / x.size(1), 1);
}

at::Tensor as_numbers(const at::Tensor& mask, const at::Tensor& q) {
  if (!mask.defined() || mask.scalar_type() != at::kBool) return mask;
  return at::zeros(mask.sizes(), q.options())
      .masked_fill_(mask.logical_not(), -std::numeric_limits<double>::infinity());
}

struct Result {
  at::Tensor out, normalizer;
};

Result run(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask, bool causal,
           std::optional<double> scale) {
  check_kernel(q, k, mask);
  const Access access;
  const at::Tensor queries = seen_by_cpu(q);
  const at::Tensor added = as_numbers(seen_by_cpu(mask), queries);
  auto [out, normalizer] = at::_scaled_dot_product_flash_attention_for_cpu(
      queries, for_each_head(seen_by_cpu(k), q.size(1)), for_each_head(seen_by_cpu(v), q.size(1)), 0.0, causal,
      added.defined() ? std::optional(added) : std::nullopt, scale);
  return {moved(out.transpose(1, 2).contiguous()).transpose(1, 2), moved(normalizer)};
}

// What the kernels hold beside gradients while they run.
std::vector<at::Tensor> workspace(const at::Tensor& q, const at::Tensor& k, bool masked) {
  const std::int64_t batch = q.size(0), heads = q.size(1), positions = rounded_up(q.size(2), 128);
  const std::int64_t shares = masked ? 1 : (kMultiprocessors + batch * heads - 1) / (batch * heads);
  const std::int64_t width = rounded_up(q.size(3), q.size(3) <= 128 ? 32 : 64);
  std::vector<at::Tensor> held{at::empty({shares, batch, positions, heads, width}, q.options().dtype(at::kFloat)),
                               at::empty({batch, heads, positions}, q.options().dtype(at::kFloat))};
  if (heads != k.size(1)) held.push_back(at::empty({2, batch, k.size(2), heads, q.size(3)}, q.options()));
  return held;
}

class Attention : public torch::autograd::Function<Attention> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::optional<at::Tensor>& given, bool causal, std::optional<double> scale) {
    const at::Tensor mask = given.value_or(at::Tensor());
    const Result result = run(q, k, v, mask, causal, scale);
    ctx->save_for_backward({q, k, v, mask, result.out, result.normalizer});
    ctx->saved_data["causal"] = causal;
    ctx->saved_data["scale"] = scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(3))));
    return result.out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &mask = saved[3];
    const std::vector<at::Tensor> held = workspace(q, k, mask.defined());
    const Access access;
    const at::Tensor queries = seen_by_cpu(q), added = as_numbers(seen_by_cpu(mask), queries);
    auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        seen_by_cpu(grads[0]), queries, for_each_head(seen_by_cpu(k), q.size(1)),
        for_each_head(seen_by_cpu(saved[2]), q.size(1)), seen_by_cpu(saved[4]), seen_by_cpu(saved[5]), 0.0,
        ctx->saved_data["causal"].toBool(), added.defined() ? std::optional(added) : std::nullopt,
        ctx->saved_data["scale"].toDouble());
    const auto summed = [&](const at::Tensor& x) {
      return moved(x.unflatten(1, {k.size(1), q.size(1) / k.size(1)}).sum(2));
    };
    return {moved(dq), summed(dk), summed(dv), {}, {}, {}};
  }
};

at::Tensor forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::optional<at::Tensor>& mask,
                   double, bool causal, std::optional<double> scale, bool) {
  return run(q, k, v, mask.value_or(at::Tensor()), causal, scale).out;
}

at::Tensor differentiable(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const std::optional<at::Tensor>& mask, double, bool causal, std::optional<double> scale,
                          bool) {
  return Attention::apply(q, k, v, mask, causal, scale);
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) { m.impl("scaled_dot_product_attention", forward); }
TORCH_LIBRARY_IMPL(aten, AutogradCUDA, m) { m.impl("scaled_dot_product_attention", differentiable); }

}  // namespace
}  // namespace espalier::pretended_gpu
