// SPDX-License-Identifier: Apache-2.0
#include "core/forward/decoder.hpp"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/embedding.h>
#include <ATen/TensorOperators.h>

#include <cmath>
#include <tuple>

#include "core/base/error.hpp"
#include "core/forward/kv_cache.hpp"

namespace espalier {

namespace {

at::Tensor norm(const ModelSpec& spec, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                Hooks* hooks) {
  const at::Tensor kept = hooks != nullptr ? hooks->kept_hidden() : at::Tensor();
  if (spec.norm == Norm::rms) return rms_norm(x, weight, spec.norm_eps, kept);
  return layer_norm_1p(x, weight, bias, spec.norm_eps, kept);
}

at::Tensor tapped(Hooks* hooks, Tap tap, std::int64_t layer, const at::Tensor& x) {
  return hooks != nullptr ? hooks->at_tap(tap, layer, x) : x;
}

at::Tensor residual(Hooks* hooks, std::int64_t layer, const at::Tensor& x) {
  return hooks != nullptr ? hooks->into_residual(layer, x) : x;
}

// (B, T, heads × D) → (B, heads, T, D)
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads, std::int64_t head_dim) {
  return x.view({x.size(0), x.size(1), heads, head_dim}).transpose(1, 2);
}

}  // namespace

at::Tensor attention_block(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const Rotary& rotary,
                           const at::Tensor& hidden, Hooks* hooks, KvCache* cache) {
  const LayerSpec& shape = spec.layers[static_cast<std::size_t>(layer)];
  const at::Tensor x = tapped(hooks, Tap::norm_output, layer,
                              norm(spec, hidden, weights[Role::attn_norm], weights[Role::attn_norm_bias], hooks));
  at::Tensor q = split_heads(affine(x, weights[Role::q], weights[Role::q_bias]), shape.heads(), shape.head_dim);
  at::Tensor k = split_heads(affine(x, weights[Role::k], weights[Role::k_bias]), shape.kv_groups, shape.head_dim);
  at::Tensor v = split_heads(affine(x, weights[Role::v], weights[Role::v_bias]), shape.kv_groups, shape.head_dim);
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
                     Hooks* hooks) {
  const at::Tensor x = tapped(hooks, Tap::norm_output, layer,
                              norm(spec, hidden, weights[Role::mlp_norm], weights[Role::mlp_norm_bias], hooks));
  at::Tensor up = affine(x, weights[Role::up], weights[Role::up_bias]);
  at::Tensor inner;
  if (spec.gated) {
    const at::Tensor gate =
        tapped(hooks, Tap::pre_activation, layer, affine(x, weights[Role::gate], weights[Role::gate_bias]));
    inner = mlp_activation(spec.activation, gate, tapped(hooks, Tap::up_output, layer, up));
  } else {
    up = tapped(hooks, Tap::pre_activation, layer, tapped(hooks, Tap::up_output, layer, up));
    inner = mlp_activation(spec.activation, up, {});
  }
  inner = tapped(hooks, Tap::fc2_input, layer, inner);
  return residual(hooks, layer, affine(inner, weights[Role::down], weights[Role::down_bias]));
}

at::Tensor decoder_layer(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const Rotary& rotary,
                         const at::Tensor& hidden, Hooks* hooks, KvCache* cache) {
  const LayerSpec& shape = spec.layers[static_cast<std::size_t>(layer)];
  at::Tensor x = hidden;
  if (shape.attention) x = x + attention_block(spec, layer, weights, rotary, x, hooks, cache);
  if (shape.mlp) x = x + mlp_block(spec, layer, weights, x, hooks);
  return x;
}

at::Tensor entry_norm(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const at::Tensor& hidden,
                      Hooks* hooks) {
  const LayerSpec& shape = spec.layers[static_cast<std::size_t>(layer)];
  if (shape.attention) return norm(spec, hidden, weights[Role::attn_norm], weights[Role::attn_norm_bias], hooks);
  if (shape.mlp) return norm(spec, hidden, weights[Role::mlp_norm], weights[Role::mlp_norm_bias], hooks);
  return {};
}

at::Tensor embed(const Weights& outer, const at::Tensor& tokens, Hooks* hooks) {
  if (tokens.device().is_cpu() && tokens.numel() > 0) {  // elsewhere the look would wait for the device
    const std::int64_t vocab = outer[Role::embed].size(0);
    const auto [least, most] = at::aminmax(tokens);
    const std::int64_t low = least.item<std::int64_t>(), high = most.item<std::int64_t>();
    if (low < 0 || high >= vocab) {
      fail("tokens: token outside the vocabulary; got {}; expected 0 to {}", low < 0 ? low : high, vocab - 1);
    }
  }
  return residual(hooks, -1, at::embedding(outer[Role::embed], tokens));
}

at::Tensor final_norm(const ModelSpec& spec, const Weights& outer, const at::Tensor& hidden, Hooks* hooks) {
  return norm(spec, hidden, outer[Role::final_norm], outer[Role::final_norm_bias], hooks);
}

}  // namespace espalier
