// SPDX-License-Identifier: Apache-2.0
// The model with some of its blocks skipped, in many variants that go through the layers together.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/forward/model.hpp"
#include "core/importance/sites.hpp"

namespace espalier {

// What one variant lacks: a part of some layers, ascending.
struct Skip {
  Part part = Part::whole;
  std::vector<std::int64_t> layers;
  bool operator==(const Skip&) const = default;
  bool contains(std::int64_t layer) const;
};

// Unit (or run of units) `unit` of an axis of layers.
Skip skip_of(const ModelSpec& spec, const Sites& sites, std::int64_t unit);

// Every variant that the sites probe, each once.
std::vector<Skip> skips_of(const ModelSpec& spec, const std::vector<Sites*>& sites);

// One walk over some batches for the whole model and all its variants: each branches off the whole one at its first
// skipped layer, so that no layer is computed twice for the same states. `states` keeps (B, T, H) before the final
// norm: [0] those of the whole model, [i + 1] those of skips[i], one for each batch.
class SkippingWalk {
 public:
  SkippingWalk(WeightSource& weights, const std::vector<Skip>& skips);
  using States = std::vector<std::vector<at::Tensor>>;
  States run(const std::vector<at::Tensor>& batches, const std::function<void()>& on_layer);

 private:
  // Layer by layer what is left of it in a variant; a layer that is skipped whole gives back its input.
  at::Tensor layer_without(std::int64_t layer, const Weights& weights, const Rotary& rotary, const Skip& skip,
                           const at::Tensor& hidden) const;

  WeightSource& weights_;
  const std::vector<Skip>& skips_;
  ModelSpec without_attention_, without_mlp_;
};

}  // namespace espalier
