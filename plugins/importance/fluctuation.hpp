// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"
#include "moments.hpp"
#include "readers.hpp"

namespace espalier::plugins {

struct FluctuationOptions {
  std::string kind;
  template <class V>
  void fields(V& v) {
    v("kind", kind, "wifv", one_of({"ifv", "wifv", "wifn"}),
      "variance of the input, that times the squared norm of the weights that read it, or mean |weight| times the "
      "input's norm");
  }
};

// How much a unit's output fluctuates: what is constant can be left to a bias. After An, Zhao, Yu, Tang, Wang:
// "Fluctuation-based adaptive structured pruning for large language models", 2023, arXiv 2312.11983 (FLAP).
// With x[t,c] channel c of what the matrices read at token t, of n in all samples together, x̄[c] its mean, and W[o,c]
// the weights that read it, of all matrices beside each other:
//
//   ifv    s[c] = Σ_t (x[t,c] − x̄[c])² / (n − 1)
//   wifv   s[c] = Σ_t (x[t,c] − x̄[c])² / (n − 1) · Σ_o W[o,c]²
//   wifn   s[c] = mean_o |W[o,c]| · sqrt( Σ_t x[t,c]² )
//
// A unit scores the sum over its channels. The paper also standardises the scores of each layer, so that layers compete
// for what is kept; here every layer keeps the same number, and an order within the layer does not need it.
class FluctuationMetric final : public ImportanceMetric {
 public:
  using Options = FluctuationOptions;
  explicit FluctuationMetric(const Options& options) : kind_(options.kind) {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  std::string kind_;
  Site site_;
  ReaderSums readers_;  // not of ifv
  TokenMoments moments_;
};

}  // namespace espalier::plugins
