// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/axis.hpp"
#include "ranking.hpp"

namespace espalier::plugins {

// An axis whose units each layer chooses for itself. A layer without any (an absent attention or MLP) keeps none.
class PerLayerAxis : public PruningAxis {
 public:
  // The smallest extent of the layers that have any: what every one of them can give.
  std::int64_t extent(const ModelSpec& spec) const final;
  Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const final;
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const final;

 protected:
  virtual const char* name() const = 0;
  virtual std::int64_t units(const LayerSpec& layer) const = 0;
  virtual std::vector<std::int64_t> choose(const LayerSpec& layer, const std::vector<double>& scores,
                                           std::int64_t keep) const;
  virtual LayerSpec cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept,
                        const std::string& place) const = 0;
};

}  // namespace espalier::plugins
