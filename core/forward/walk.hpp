// SPDX-License-Identifier: Apache-2.0
// The layer walk: layers outside, batches inside. Each layer's weights are fetched once for all batches, so that a
// model larger than memory can be run; with resident weights it is the same walk.
#pragma once

#include <functional>
#include <vector>

#include "core/forward/model.hpp"

namespace espalier {

class WalkVisitor : public Hooks {
 public:
  // Before a layer's first batch, with its weights.
  virtual void fetched(std::int64_t layer, const Weights& weights) { (void)layer, (void)weights; }
  // Before and after each layer of each batch; hidden is (B, T, H). Return false from `enter` to skip the layer.
  virtual bool enter(std::int64_t layer, std::size_t batch, const at::Tensor& hidden) {
    (void)layer, (void)batch, (void)hidden;
    return true;
  }
  virtual void leave(std::int64_t layer, std::size_t batch, const at::Tensor& before, const at::Tensor& after) {
    (void)layer, (void)batch, (void)before, (void)after;
  }
};

// Runs batches of tokens, each (B, T) int64, through embedding and layers. Returns the states before the final norm.
// No gradients. `on_layer(layer)` is called after each layer, for progress.
std::vector<at::Tensor> walk(WeightSource& weights, const std::vector<at::Tensor>& batches, WalkVisitor* visitor,
                             const std::function<void(std::int64_t)>& on_layer = {});

}  // namespace espalier
