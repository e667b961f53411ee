// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "per_layer.hpp"

namespace espalier::plugins {

// KV groups: a K and a V head together with the query heads that read them. Scored as one head.
class KvGroupsAxis final : public PerLayerAxis {
 public:
  using Options = PerLayerOptions;
  explicit KvGroupsAxis(const Options& options) : PerLayerAxis(options) {}
  AxisInfo describe() const override;
  std::int64_t step(const ModelSpec& spec) const override;

 protected:
  const char* name() const override { return "kv_groups"; }
  std::int64_t units(const LayerSpec& layer) const override { return layer.attention ? layer.kv_groups : 0; }
  LayerSpec cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept, const std::string& place) const override;
};

}  // namespace espalier::plugins
