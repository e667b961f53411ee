// SPDX-License-Identifier: Apache-2.0
// One decoder layer, for every family: what differs between them is numbers of the spec.
#pragma once

#include <array>
#include <cstdint>

#include <ATen/core/Tensor.h>

#include "core/forward/recompute.hpp"
#include "core/model/parameter.hpp"
#include "core/ops/ops.hpp"

namespace espalier {

// The tensors of one layer (or of the parts outside the layers) by role; absent ones are undefined.
struct Weights {
  std::array<at::Tensor, static_cast<std::size_t>(Role::count)> by_role;
  at::Tensor& operator[](Role role) { return by_role[static_cast<std::size_t>(role)]; }
  const at::Tensor& operator[](Role role) const { return by_role[static_cast<std::size_t>(role)]; }
};

// Looks into the forward pass, and may change what it sees. The defaults do nothing.
class Hooks {
 public:
  virtual ~Hooks() = default;
  // An activation at a tap, (B, T, dims of the tap). The returned tensor is used instead.
  virtual at::Tensor at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) {
    (void)tap, (void)layer;
    return x;
  }
  // What is about to enter the residual stream: the embedding (layer -1), an attention's or an MLP's output.
  virtual at::Tensor into_residual(std::int64_t layer, const at::Tensor& x) {
    (void)layer;
    return x;
  }
  // Channels (H, 0 or 1) that norms over the hidden dimension average over; undefined: all.
  virtual at::Tensor kept_hidden() { return {}; }
  // Channels (D, 0 or 1) of the layer's heads that q and k consist of: the norms of q and k average over them, the
  // scale of attention counts them, the others are zero; undefined: all. What v consists of is for the tap
  // o_proj_input.
  virtual at::Tensor kept_head(std::int64_t layer) {
    (void)layer;
    return {};
  }
};

class KvCache;

// hidden (B, T, H) → (B, T, H). The blocks give what is added to the residual stream, the layer the stream after both.
// `rotary` begins with the positions of `hidden`. `hooks` may be nullptr. With a `cache`, `hidden` is a chunk behind
// the tokens in it: it attends to them too, and its keys and values are put into the cache. `recompute` is for
// training; with hooks or a cache nothing is made again.
at::Tensor attention_block(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const Rotary& rotary,
                           const at::Tensor& hidden, Hooks* hooks, KvCache* cache = nullptr,
                           Recompute recompute = Recompute::none);
at::Tensor mlp_block(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const at::Tensor& hidden,
                     Hooks* hooks, Recompute recompute = Recompute::none);
at::Tensor decoder_layer(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const Rotary& rotary,
                         const at::Tensor& hidden, Hooks* hooks, KvCache* cache = nullptr,
                         Recompute recompute = Recompute::none);
// What the layer's first block sees of the stream, (B, T, H); undefined for a layer without blocks.
at::Tensor entry_norm(const ModelSpec& spec, std::int64_t layer, const Weights& weights, const at::Tensor& hidden,
                      Hooks* hooks);

// tokens (B, T) int64 → (B, T, H); Error when a token is outside the vocabulary.   hidden → final norm
at::Tensor embed(const Weights& outer, const at::Tensor& tokens, Hooks* hooks);
at::Tensor final_norm(const ModelSpec& spec, const Weights& outer, const at::Tensor& hidden, Hooks* hooks);

}  // namespace espalier
