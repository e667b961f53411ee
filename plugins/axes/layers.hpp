// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "espalier/sdk/axis.hpp"
#include "ranking.hpp"

namespace espalier::plugins {

struct LayersOptions : AxisOptions {
  bool contiguous;
  template <class V>
  void fields(V& v) {
    AxisOptions::fields(v);
    v("contiguous", contiguous, false, any(), "remove one run of layers: the one whose summed score is smallest");
  }
};

// Whole decoder layers.
class LayersAxis final : public PruningAxis {
 public:
  using Options = LayersOptions;
  explicit LayersAxis(const Options& options) : options_(options) {}
  AxisInfo describe() const override;
  std::int64_t extent(const ModelSpec& spec) const override;
  std::int64_t step(const ModelSpec& spec) const override;
  Selection select(const ModelSpec& spec, const Scores& scores, std::int64_t keep) const override;
  ModelSpec shrink(const ModelSpec& spec, const Selection& selection) const override;

 private:
  Options options_;
};

}  // namespace espalier::plugins
