// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"
#include "taps.hpp"

namespace espalier::plugins {

struct TaylorOptions {
  std::string samples, tap;
  template <class V>
  void fields(V& v) {
    v("samples", samples, "abs", one_of({"abs", "square", "signed"}),
      "over the samples: mean |s|, root of the mean s², or |mean s|");
    v("tap", tap, "", any_tap(), "where to look; empty: the axis's own choice");
  }
};

// How much the loss would change with the unit at zero, to first order, after Molchanov, Tyree, Karras, Aila, Kautz:
// "Pruning convolutional neural networks for resource efficient inference", 2016, arXiv 1611.06440, section 2.2, and
// Molchanov, Mallya, Tyree, Frosio, Kautz: "Importance estimation for neural network pruning", 2019, arXiv 1906.10771,
// section 3. With a the unit's activations and L a sample's mean nll,
//
//   s = Σ_{tokens, channels} a · ∂L/∂a       of a layer with input x and output y, whose place x takes:
//   s = Σ_{tokens, channels} (y − x) · ∂L/∂y
//
// and over the N samples
//
//   abs   S = Σ|s| / N   (1611.06440)        square   S = sqrt( Σs² / N )   (1906.10771, there without the root)
//   signed   S = |Σs| / N: samples that would gain and samples that would lose make up for each other.
class TaylorMetric final : public ImportanceMetric {
 public:
  using Options = TaylorOptions;
  explicit TaylorMetric(const Options& options) : options_(options) {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  void add(const at::Tensor& sample, std::int64_t first);

  Options options_;
  at::Tensor samples_, sum_;  // (units) how many, and Σ|s|, Σs² or Σs
};

}  // namespace espalier::plugins
