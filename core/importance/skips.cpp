// SPDX-License-Identifier: Apache-2.0
#include "core/importance/skips.hpp"

#include <algorithm>

#include "core/forward/rotary_cache.hpp"

namespace espalier {
namespace {

ModelSpec without(const ModelSpec& spec, Part part) {
  ModelSpec left = spec;
  for (LayerSpec& layer : left.layers) turn_off(layer, part);
  return left;
}

}  // namespace

bool Skip::contains(std::int64_t layer) const { return std::binary_search(layers.begin(), layers.end(), layer); }

Skip skip_of(const ModelSpec& spec, const Sites& sites, std::int64_t unit) {
  const std::vector<std::int64_t> all = layers_with(spec, sites.job().axis.part);
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(unit);
  return {sites.job().axis.part, {first, first + static_cast<std::ptrdiff_t>(sites.run())}};
}

std::vector<Skip> skips_of(const ModelSpec& spec, const std::vector<Sites*>& sites) {
  std::vector<Skip> skips;
  for (const Sites* one : sites) {
    for (std::int64_t unit = 0; unit < one->units(-1); ++unit) {
      Skip skip = skip_of(spec, *one, unit);
      if (std::find(skips.begin(), skips.end(), skip) == skips.end()) skips.push_back(std::move(skip));
    }
  }
  return skips;
}

SkippingWalk::SkippingWalk(WeightSource& weights, const std::vector<Skip>& skips)
    : weights_(weights),
      skips_(skips),
      without_attention_(without(weights.spec(), Part::attention)),
      without_mlp_(without(weights.spec(), Part::mlp)) {}

at::Tensor SkippingWalk::layer_without(std::int64_t layer, const Weights& weights, const Rotary& rotary,
                                       const Skip& skip, const at::Tensor& hidden) const {
  if (!skip.contains(layer)) return decoder_layer(weights_.spec(), layer, weights, rotary, hidden, nullptr);
  if (skip.part == Part::whole) return hidden;
  const ModelSpec& left = skip.part == Part::attention ? without_attention_ : without_mlp_;
  return decoder_layer(left, layer, weights, rotary, hidden, nullptr);
}

SkippingWalk::States SkippingWalk::run(const std::vector<at::Tensor>& batches, const std::function<void()>& on_layer) {
  const ModelSpec& spec = weights_.spec();
  States states(skips_.size() + 1, std::vector<at::Tensor>(batches.size()));
  std::int64_t positions = 0;
  {
    const Weights outer = weights_.outer();
    for (std::size_t b = 0; b < batches.size(); ++b) {
      states[0][b] = embed(outer, batches[b], nullptr);
      positions = std::max(positions, batches[b].size(1));
    }
  }
  RotaryCache tables(spec, positions, weights_.compute());
  for (std::int64_t layer = 0; layer < static_cast<std::int64_t>(spec.layers.size()); ++layer) {
    const Weights at_hand = weights_.layer(layer);
    const Rotary& rotary = tables.of_layer(layer);
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const at::Tensor before = states[0][b];
      states[0][b] = decoder_layer(spec, layer, at_hand, rotary, before, nullptr);
      for (std::size_t i = 0; i < skips_.size(); ++i) {
        const std::int64_t first = skips_[i].layers.front();
        at::Tensor& state = states[i + 1][b];
        if (first <= layer) {
          state = layer_without(layer, at_hand, rotary, skips_[i], first == layer ? before : state);
        }
      }
    }
    on_layer();
  }
  return states;
}

}  // namespace espalier
