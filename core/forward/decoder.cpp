// SPDX-License-Identifier: Apache-2.0
#include "core/forward/decoder.hpp"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/embedding.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/forward/check_tokens.hpp"
#include "core/forward/kv_cache.hpp"

namespace espalier {

namespace {

at::Tensor norm_of(Norm kind, double eps, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                   const at::Tensor& kept) {
  return kind == Norm::rms ? rms_norm(x, weight, eps, kept) : layer_norm_1p(x, weight, bias, eps, kept);
}

at::Tensor norm(const ModelSpec& spec, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                Hooks* hooks) {
  return norm_of(spec.norm, spec.norm_eps, x, weight, bias, hooks != nullptr ? hooks->kept_hidden() : at::Tensor());
}

NormedSum add_norm(const ModelSpec& spec, const at::Tensor& x, const at::Tensor& branch, const at::Tensor& weight,
                   const at::Tensor& bias, Hooks* hooks) {
  const at::Tensor kept = hooks != nullptr ? hooks->kept_hidden() : at::Tensor();
  if (spec.norm == Norm::rms) return add_rms_norm(x, branch, weight, spec.norm_eps, kept);
  return add_layer_norm_1p(x, branch, weight, bias, spec.norm_eps, kept);
}

at::Tensor tapped(Hooks* hooks, Tap tap, std::int64_t layer, const at::Tensor& x) {
  return hooks != nullptr ? hooks->at_tap(tap, layer, x) : x;
}

at::Tensor residual(Hooks* hooks, std::int64_t layer, const at::Tensor& x) {
  return hooks != nullptr ? hooks->into_residual(layer, x) : x;
}

// Matrices of a block and their biases.
using Roles = std::vector<std::pair<Role, Role>>;

Tensors products_of(const Weights& weights, const Roles& products, const at::Tensor& x) {
  Tensors results;
  for (const auto& [matrix, added] : products) results.push_back(affine(x, weights[matrix], weights[added]));
  return results;
}

// The layer's norm of the stream, times each of the block's matrices.
Tensors normed_products(const ModelSpec& spec, std::int64_t layer, const Weights& weights, Role norm_role,
                        Role norm_bias, const Roles& products, const at::Tensor& hidden, Hooks* hooks,
                        Recompute recompute) {
  const at::Tensor &weight = weights[norm_role], &bias = weights[norm_bias];
  if (recompute == Recompute::cheap && hooks == nullptr) {
    Tensors matrices, biases;
    for (const auto& [matrix, added] : products) matrices.push_back(weights[matrix]), biases.push_back(weights[added]);
    const auto again = [kind = spec.norm, eps = spec.norm_eps](const Tensors& of) {
      return norm_of(kind, eps, of[0], of[1], of[2], {});
    };
    return affine_of_recomputed(again, {hidden, weight, bias}, matrices, biases);
  }
  return products_of(weights, products,
                     tapped(hooks, Tap::norm_output, layer, norm(spec, hidden, weight, bias, hooks)));
}

Roles mlp_roles(const ModelSpec& spec) {
  Roles roles{{Role::up, Role::up_bias}};
  if (spec.gated) roles.emplace_back(Role::gate, Role::gate_bias);
  return roles;
}

// The rest of the MLP after the products of mlp_roles().
at::Tensor mlp_of(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const Tensors& products,
                  Hooks* hooks, Recompute recompute) {
  at::Tensor before, factor;
  if (spec.gated) {
    before = tapped(hooks, Tap::pre_activation, layer, products[1]);
    factor = tapped(hooks, Tap::up_output, layer, products[0]);
  } else {
    before = tapped(hooks, Tap::pre_activation, layer, tapped(hooks, Tap::up_output, layer, products[0]));
  }
  if (recompute == Recompute::cheap && hooks == nullptr) {
    const auto again = [kind = spec.activation](const Tensors& of) { return mlp_activation(kind, of[0], of[1]); };
    return affine_of_recomputed(again, {before, factor}, {weights[Role::down]}, {weights[Role::down_bias]})[0];
  }
  const at::Tensor inner = tapped(hooks, Tap::fc2_input, layer, mlp_activation(spec.activation, before, factor));
  return residual(hooks, layer, affine(inner, weights[Role::down], weights[Role::down_bias]));
}

// (B, T, heads × D) → (B, heads, T, D)
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads, std::int64_t head_dim) {
  return x.view({x.size(0), x.size(1), heads, head_dim}).transpose(1, 2);
}

}  // namespace

at::Tensor attention_block(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const Rotary& rotary,
                           const at::Tensor& hidden, Hooks* hooks, KvCache* cache, Recompute recompute) {
  const LayerSpec& shape = spec.layers[static_cast<std::size_t>(layer)];
  const Tensors qkv = normed_products(spec, layer, weights, Role::attn_norm, Role::attn_norm_bias,
                                      {{Role::q, Role::q_bias}, {Role::k, Role::k_bias}, {Role::v, Role::v_bias}},
                                      hidden, hooks, recompute);
  at::Tensor q = split_heads(qkv[0], shape.heads(), shape.head_dim);
  at::Tensor k = split_heads(qkv[1], shape.kv_groups, shape.head_dim);
  at::Tensor v = split_heads(qkv[2], shape.kv_groups, shape.head_dim);
  const at::Tensor kept = hooks != nullptr ? hooks->kept_head(layer) : at::Tensor();
  if (spec.qk_norm) {
    q = rms_norm(q, weights[Role::q_norm], spec.norm_eps, kept);
    k = rms_norm(k, weights[Role::k_norm], spec.norm_eps, kept);
  }
  if (kept.defined()) {
    // attention() divides by the root of the whole width.
    const double width = static_cast<double>(shape.head_dim), left = kept.sum().item<double>();
    q = q * kept * std::sqrt(width / left);
    k = k * kept;
  }
  q = rotate(q, rotary);
  k = rotate(k, rotary);
  if (cache != nullptr) std::tie(k, v) = cache->append(layer, k, v);
  at::Tensor o = attention(q, k, v, shape.sliding_window);
  o = o.transpose(1, 2).reshape({hidden.size(0), hidden.size(1), shape.heads() * shape.head_dim});
  o = tapped(hooks, Tap::o_proj_input, layer, o);
  return residual(hooks, layer, affine(o, weights[Role::o], weights[Role::o_bias]));
}

at::Tensor mlp_block(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const at::Tensor& hidden,
                     Hooks* hooks, Recompute recompute) {
  return mlp_of(spec, layer, weights,
                normed_products(spec, layer, weights, Role::mlp_norm, Role::mlp_norm_bias, mlp_roles(spec), hidden,
                                hooks, recompute),
                hooks, recompute);
}

at::Tensor decoder_layer(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const Rotary& rotary,
                         const at::Tensor& hidden, Hooks* hooks, KvCache* cache, Recompute recompute) {
  if (recompute == Recompute::layers && hooks == nullptr && cache == nullptr) {
    Tensors inputs(weights.by_role.begin(), weights.by_role.end());
    inputs.push_back(hidden);
    // The spec outlives the graph: it is the model's, whose weights the graph holds.
    const auto again = [&spec, layer, rotary](const Tensors& of) {
      Weights same;
      std::copy(of.begin(), of.end() - 1, same.by_role.begin());
      return decoder_layer(spec, layer, same, rotary, of.back(), nullptr);
    };
    return recomputed(again, inputs);
  }
  const LayerSpec& shape = spec.layers[static_cast<std::size_t>(layer)];
  at::Tensor x = hidden;
  if (shape.attention && shape.mlp && recompute != Recompute::cheap) {
    // The sum and its norm as one operation, where a device has one. (When cheap parts are made again, the norm is.)
    NormedSum between = add_norm(spec, x, attention_block(spec, layer, weights, rotary, x, hooks, cache, recompute),
                                 weights[Role::mlp_norm], weights[Role::mlp_norm_bias], hooks);
    const Tensors products = products_of(weights, mlp_roles(spec),
                                         tapped(hooks, Tap::norm_output, layer, std::exchange(between.normed, {})));
    return between.sum + mlp_of(spec, layer, weights, products, hooks, recompute);
  }
  if (shape.attention) x = x + attention_block(spec, layer, weights, rotary, x, hooks, cache, recompute);
  if (shape.mlp) x = x + mlp_block(spec, layer, weights, x, hooks, recompute);
  return x;
}

at::Tensor entry_norm(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const at::Tensor& hidden,
                      Hooks* hooks) {
  const LayerSpec& shape = spec.layers[static_cast<std::size_t>(layer)];
  if (shape.attention) return norm(spec, hidden, weights[Role::attn_norm], weights[Role::attn_norm_bias], hooks);
  if (shape.mlp) return norm(spec, hidden, weights[Role::mlp_norm], weights[Role::mlp_norm_bias], hooks);
  return {};
}

void check_tokens(const at::Tensor& tokens, std::int64_t vocab) {
  if (!tokens.device().is_cpu() || tokens.numel() == 0) return;
  const auto [least, most] = at::aminmax(tokens);
  const std::int64_t low = least.item<std::int64_t>(), high = most.item<std::int64_t>();
  if (low >= 0 && high < vocab) return;
  fail("tokens: token outside the vocabulary; got {}; expected 0 to {}", low < 0 ? low : high, vocab - 1);
}

at::Tensor embed(const Weights& outer, const at::Tensor& tokens, Hooks* hooks) {
  check_tokens(tokens, outer[Role::embed].size(0));
  return residual(hooks, -1, at::embedding(outer[Role::embed], tokens));
}

at::Tensor final_norm(const ModelSpec& spec, const Weights& outer, const at::Tensor& hidden, Hooks* hooks) {
  return norm(spec, hidden, outer[Role::final_norm], outer[Role::final_norm_bias], hooks);
}

}  // namespace espalier
