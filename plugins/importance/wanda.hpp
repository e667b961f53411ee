// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"
#include "readers.hpp"

namespace espalier::plugins {

struct WandaOptions {
  std::string reduce;
  template <class V>
  void fields(V& v) {
    v("reduce", reduce, "sum", one_of({"sum", "l2"}),
      "how a unit's weights come together: the sum of |w| · norm, or the root of the sum of squares");
  }
};

// Weights times the size of what they read, after Sun, Liu, Bair, Kolter: "A simple and effective pruning approach for
// large language models", 2023, arXiv 2306.11695, section 3. There a single weight scores
//
//   s[o,c] = |W[o,c]| · ‖x[c]‖₂        x[c]: channel c of the matrix's input, at all tokens of all samples
//
// and here a unit, by all the weights that would go with it: its channels c, the outputs o of all matrices that read
// them.
//
//   sum   S = Σ_c Σ_o s[o,c]           l2   S = sqrt( Σ_c Σ_o s[o,c]² )
class WandaMetric final : public ImportanceMetric {
 public:
  using Options = WandaOptions;
  explicit WandaMetric(const Options& options) : squared_(options.reduce == "l2") {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  bool squared_;
  Site site_;
  ReaderSums readers_;
  at::Tensor samples_, squares_;  // how many, and (units × channels) Σx²
};

}  // namespace espalier::plugins
