// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include "rate.hpp"

namespace espalier::plugins {

struct WsdOptions : PeakToMinOptions {
  double decay_share;
  std::string decay_shape;
  template <class V>
  void fields(V& v) {
    PeakToMinOptions::fields(v);
    v("decay_share", decay_share, 0.2, between(0.0, 1.0),
      "share of the whole run, at its end, over which the rate falls to min; 0: it never falls");
    v("decay_shape", decay_shape, "1-sqrt", one_of({"1-sqrt", "linear"}),
      "with s the share of the fall that is done: 1 - sqrt(s), or 1 - s");
  }
};

// Warm-up, stable, decay: linear warm-up to `peak`, which stays, and falls over the end of the run to `min`. A decay
// that would start before the end of the warm-up starts there.
class WsdScheduler final : public FallingScheduler {
 public:
  using Options = WsdOptions;
  explicit WsdScheduler(const Options& options)
      : FallingScheduler(options), decay_(options.decay_share), linear_(options.decay_shape == "linear") {}

 protected:
  double height(const Position& position) const override {
    const double share = position.share_after(position.steps * (1.0 - decay_));
    return 1.0 - (linear_ ? share : std::sqrt(share));
  }

 private:
  double decay_;
  bool linear_;
};

}  // namespace espalier::plugins
