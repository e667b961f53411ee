// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "per_layer.hpp"

namespace espalier::plugins {

// Neurons of each layer's MLP: rows of gate and up, columns of down.
class FfnAxis final : public PerLayerAxis {
 public:
  using Options = PerLayerOptions;
  explicit FfnAxis(const Options& options) : PerLayerAxis(options) {}
  AxisInfo describe() const override;
  std::int64_t step(const ModelSpec& spec) const override;

 protected:
  const char* name() const override { return "ffn"; }
  std::int64_t units(const LayerSpec& layer) const override { return layer.mlp ? layer.ffn : 0; }
  LayerSpec cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept, const std::string& place) const override;
};

}  // namespace espalier::plugins
