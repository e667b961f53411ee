// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "per_layer.hpp"

namespace espalier::plugins {

// Query heads, ranked inside their KV group; the same number is kept in each group, and all K and V stay.
class HeadsAxis final : public PerLayerAxis {
 public:
  using Options = AxisOptions;
  explicit HeadsAxis(const Options& options) : options_(options) {}
  AxisInfo describe() const override;
  std::int64_t step(const ModelSpec& spec) const override;  // lcm of the layers' KV groups and the granularity

 protected:
  const char* name() const override { return "heads"; }
  std::int64_t units(const LayerSpec& layer) const override { return layer.attention ? layer.heads() : 0; }
  std::vector<std::int64_t> choose(const LayerSpec& layer, const std::vector<double>& scores,
                                   std::int64_t keep) const override;
  LayerSpec cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept, const std::string& place) const override;

 private:
  Options options_;
};

}  // namespace espalier::plugins
