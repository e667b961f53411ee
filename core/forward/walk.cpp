// SPDX-License-Identifier: Apache-2.0
#include "core/forward/walk.hpp"

#include <ATen/core/grad_mode.h>

#include "core/base/error.hpp"
#include "core/forward/rotary_cache.hpp"

namespace espalier {

std::vector<at::Tensor> walk(WeightSource& weights, const std::vector<at::Tensor>& batches, WalkVisitor* visitor,
                             const std::function<void(std::int64_t)>& on_layer) {
  const at::NoGradGuard no_grad;
  const ModelSpec& spec = weights.spec();
  std::vector<at::Tensor> states;
  std::int64_t positions = 0;
  {
    const Weights outer = weights.outer();
    for (const at::Tensor& tokens : batches) {
      states.push_back(embed(outer, tokens, visitor));
      positions = std::max(positions, tokens.size(1));
    }
  }
  RotaryCache tables(spec, positions, weights.compute());
  for (std::int64_t layer = 0; layer < static_cast<std::int64_t>(spec.layers.size()); ++layer) {
    const Weights at_hand = weights.layer(layer);
    if (visitor != nullptr) visitor->fetched(layer, at_hand);
    for (std::size_t b = 0; b < states.size(); ++b) {
      if (visitor != nullptr && !visitor->enter(layer, b, states[b])) continue;
      const at::Tensor after = decoder_layer(spec, layer, at_hand, tables.of_layer(layer), states[b], visitor);
      if (visitor != nullptr) visitor->leave(layer, b, states[b], after);
      states[b] = after;
    }
    if (on_layer) on_layer(layer);
  }
  return states;
}

}  // namespace espalier
