// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "depth.hpp"

namespace espalier::plugins {

struct LayersOptions : AxisOptions {
  bool contiguous;
  template <class V>
  void fields(V& v) {
    AxisOptions::fields(v);
    v("contiguous", contiguous, false, any(),
      "remove one run of layers: the weakest one by a metric of runs, else the one whose summed score is smallest");
  }
};

// Whole decoder layers.
class LayersAxis final : public DepthAxis {
 public:
  using Options = LayersOptions;
  explicit LayersAxis(const Options& options) : options_(options) {}
  AxisInfo describe() const override;
  std::int64_t step(const ModelSpec&) const override { return options_.granularity; }

 protected:
  const char* name() const override { return "layers"; }
  Part part() const override { return Part::whole; }
  bool one_run() const override { return options_.contiguous; }

 private:
  Options options_;
};

}  // namespace espalier::plugins
