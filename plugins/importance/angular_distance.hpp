// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "espalier/sdk/options.hpp"
#include "unit_means.hpp"

namespace espalier::plugins {

struct AngularDistanceOptions {
  std::string tokens;
  template <class V>
  void fields(V& v) {
    v("tokens", tokens, "last", one_of({"last", "all"}), "the last token of each sample, or the mean over all of them");
  }
};

// How far a run of layers turns the hidden state (Gromov et al., arXiv 2403.17887, section 3.2):
// d = (1/π) arccos(cos(input of the run's first layer, output of its last)), from 0 for an identity to 1. The mean over
// samples. Single layers and parts are scored where no run goes.
class AngularDistance final : public UnitMeans {
 public:
  using Options = AngularDistanceOptions;
  explicit AngularDistance(const Options& options) : last_(options.tokens == "last") {}
  Needs needs(const AxisInfo& axis) const override;
  void observe(const Observation& observation) override;

 protected:
  const char* name() const override { return "angular_distance"; }
  const char* missing() const override { return "got a unit with 0 tokens; expected at least 1"; }

 private:
  bool last_;
};

}  // namespace espalier::plugins
