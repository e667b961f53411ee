// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/cpu_attention.hpp"
#include "core/ops/fused.hpp"
#include "core/ops/ops.hpp"

namespace espalier {
namespace {

// (T, S), true where a query may look: itself and the window − 1 keys before it. The queries are the last T of the S
// positions.
at::Tensor window_mask(std::int64_t queries, std::int64_t keys, std::int64_t window, at::Device device) {
  const at::Tensor index = at::arange(keys, at::TensorOptions(at::kLong).device(device));
  const at::Tensor distance = index.narrow(0, keys - queries, queries).unsqueeze(1) - index.unsqueeze(0);
  return at::logical_and(distance >= 0, distance < window);
}

// The masks of the last passes as numbers to add, so that all layers save the same one for their backward pass.
class RecentBiases {
 public:
  at::Tensor bias(std::int64_t positions, std::int64_t window, const at::Tensor& like) {
    const std::scoped_lock lock(mutex_);
    const auto found = std::find_if(recent_.begin(), recent_.end(), [&](const Entry& entry) {
      return entry.window == window && entry.bias.size(0) == positions &&
             entry.bias.scalar_type() == like.scalar_type() && entry.bias.device() == like.device();
    });
    if (found != recent_.end()) return found->bias;
    if (recent_.size() == kMost) recent_.pop_front();
    recent_.push_back({window, made(positions, window, like)});
    return recent_.back().bias;
  }

 private:
  // Rows begin at whole 32 bytes: else the kernel takes a copy of its own in every layer. A tensor of an evaluation may
  // serve a training after it.
  static at::Tensor made(std::int64_t positions, std::int64_t window, const at::Tensor& like) {
    const c10::InferenceMode plain(false);
    const at::NoGradGuard no_grad;
    const at::Tensor hidden = at::full({positions, (positions + 15) / 16 * 16},
                                       -std::numeric_limits<double>::infinity(), like.options().requires_grad(false));
    return (hidden.triu(1) + hidden.tril(-window)).narrow(1, 0, positions);
  }

  static constexpr std::size_t kMost = 4;  // two models, in training and in evaluation
  struct Entry {
    std::int64_t window;
    at::Tensor bias;  // (T, T)
  };
  std::mutex mutex_;
  std::deque<Entry> recent_;
};

RecentBiases& recent_biases() {
  static auto* biases = new RecentBiases;  // never freed: a device's tensors must not outlive its driver
  return *biases;
}

// A GPU's only kernel for masks takes rows of heads in whole 16 bytes. Zeros behind a head change no product, nor what
// is kept of the result.
at::Tensor masked_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::optional<at::Tensor>& mask) {
  const std::int64_t width = q.size(3), unit = 16 / static_cast<std::int64_t>(q.element_size());
  const std::int64_t missing = (unit - width % unit) % unit;
  if (q.device().is_cpu() || missing == 0) return at::scaled_dot_product_attention(q, k, v, mask);
  const auto padded = [&](const at::Tensor& x) { return at::constant_pad_nd(x, {0, missing}); };
  return at::scaled_dot_product_attention(padded(q), padded(k), padded(v), mask, 0.0, /*is_causal=*/false,
                                          1.0 / std::sqrt(static_cast<double>(width)))
      .narrow(3, 0, width);
}

// The heads of a group stand as queries beside each other, (B, G, N/G · T, D), so that keys and values need not be
// repeated for each head: while text is generated they are by far the most there is to read.
at::Tensor attention_to_past(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             std::int64_t sliding_window) {
  const std::int64_t groups = k.size(1), heads = q.size(1) / groups, queries = q.size(2), keys = k.size(2);
  const at::Tensor beside = q.reshape({q.size(0), groups, heads * queries, q.size(3)});
  std::optional<at::Tensor> mask;
  const std::int64_t window = sliding_window > 0 ? std::min(sliding_window, keys) : keys;
  if (queries > 1 || window < keys) mask = window_mask(queries, keys, window, q.device()).repeat({heads, 1});
  return masked_attention(beside, k, v, mask).reshape(q.sizes());
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

cpu::AttentionShape shape_of(const at::Tensor& q, const at::Tensor& k, std::int64_t sliding_window) {
  const std::int64_t positions = q.size(2);
  return {q.size(0),
          q.size(1),
          k.size(1),
          positions,
          q.size(3),
          sliding_window > 0 ? sliding_window : positions,
          1.0 / std::sqrt(static_cast<double>(q.size(3)))};
}

template <class T>
cpu::Heads<const T> read(const at::Tensor& x) {
  return {x.const_data_ptr<T>(), x.stride(0), x.stride(1), x.stride(2)};
}
template <class T>
cpu::Heads<T> write(at::Tensor& x) {
  return {x.mutable_data_ptr<T>(), x.stride(0), x.stride(1), x.stride(2)};
}

// (B, N, T, D) as a view of (B, T, N, D): a token's heads stand beside each other, where the next product wants them.
at::Tensor tokens_first(const at::Tensor& like) {
  return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options()).transpose(1, 2);
}

at::Tensor with_rows(const at::Tensor& x) { return x.stride(3) == 1 || x.size(3) == 1 ? x : x.contiguous(); }

template <class T>
void forward_tasks(const cpu::AttentionShape& shape, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                   at::Tensor& out, at::Tensor& normalizer) {
  const auto queries = read<T>(q), keys = read<T>(k), values = read<T>(v);
  const auto result = write<T>(out);
  T* const kept = normalizer.mutable_data_ptr<T>();
  at::parallel_for(0, shape.batch * shape.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task)
      cpu::attention(shape, task, queries, keys, values, result, kept);
  });
}

template <class T>
void backward_tasks(const cpu::AttentionShape& shape, const variable_list& saved, const at::Tensor& dout,
                    variable_list& gradients) {
  const auto q = read<T>(saved[0]), k = read<T>(saved[1]), v = read<T>(saved[2]), out = read<T>(saved[3]);
  const T* const normalizer = saved[4].const_data_ptr<T>();
  const auto theirs = read<T>(dout);
  const auto dq = write<T>(gradients[0]), dk = write<T>(gradients[1]), dv = write<T>(gradients[2]);
  at::parallel_for(0, shape.batch * shape.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task)
      cpu::attention_backward(shape, task, q, k, v, out, normalizer, theirs, dq, dk, dv);
  });
}

// → the result and the normalizer (B, N, T) of each query.
std::pair<at::Tensor, at::Tensor> cpu_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                              std::int64_t sliding_window) {
  const cpu::AttentionShape shape = shape_of(q, k, sliding_window);
  at::Tensor out = tokens_first(q), normalizer = at::empty({shape.batch, shape.heads, shape.positions}, q.options());
  if (q.scalar_type() == at::kFloat) {
    forward_tasks<float>(shape, with_rows(q), with_rows(k), with_rows(v), out, normalizer);
  } else {
    forward_tasks<double>(shape, with_rows(q), with_rows(k), with_rows(v), out, normalizer);
  }
  return {out, normalizer};
}

class CpuAttention : public torch::autograd::Function<CpuAttention> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            std::int64_t sliding_window) {
    auto [out, normalizer] = cpu_forward(q, k, v, sliding_window);
    ctx->save_for_backward({q, k, v, out, normalizer});
    ctx->saved_data["sliding_window"] = sliding_window;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative();
    variable_list saved = ctx->get_saved_variables();
    for (std::size_t i = 0; i < 3; ++i) saved[i] = with_rows(saved[i]);
    const cpu::AttentionShape shape = shape_of(saved[0], saved[1], ctx->saved_data["sliding_window"].toInt());
    const at::Tensor dout = with_rows(grads[0]);
    variable_list gradients{tokens_first(saved[0]), tokens_first(saved[1]), tokens_first(saved[2])};
    if (dout.scalar_type() == at::kFloat) {
      backward_tasks<float>(shape, saved, dout, gradients);
    } else {
      backward_tasks<double>(shape, saved, dout, gradients);
    }
    gradients.emplace_back();
    return gradients;
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t sliding_window) {
  const std::int64_t positions = q.size(2);
  if (k.size(2) != positions) return attention_to_past(q, k, v, sliding_window);
  if (has_fused_kernel(q) && q.numel() > 0) {
    const bool train = wants_grad(q) || wants_grad(k) || wants_grad(v);
    return train ? CpuAttention::apply(q, k, v, sliding_window) : cpu_forward(q, k, v, sliding_window).first;
  }
  const bool grouped = q.size(1) != k.size(1);
  if (sliding_window <= 0 || positions <= sliding_window) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true, std::nullopt, grouped);
  }
  if (q.device().is_cpu()) {
    const at::Tensor mask = window_mask(positions, positions, sliding_window, q.device());
    return at::scaled_dot_product_attention(q, k, v, mask, 0.0, /*is_causal=*/false, std::nullopt, grouped);
  }
  // On a GPU no kernel takes both a mask and groups, and plain products are switched off.
  const std::int64_t together = q.size(1) / k.size(1);
  return masked_attention(q, k.repeat_interleave(together, 1), v.repeat_interleave(together, 1),
                          recent_biases().bias(positions, sliding_window, q));
}

}  // namespace espalier
