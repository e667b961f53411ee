// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

struct PositionOptions {
  std::int64_t keep_first, keep_last;
  std::string order;
  template <class V>
  void fields(V& v) {
    v("keep_first", keep_first, 0, at_least(0), "units at the beginning that are kept before all others");
    v("keep_last", keep_last, 0, at_least(0), "units at the end that are kept after those and before the rest");
    v("order", order, "early", one_of({"early", "late"}), "which of the rest are kept first");
  }
};

// Scores by place alone, as ranks from 1: arXiv 2408.11796 drops the layers before the last one with keep_last = 1.
class PositionMetric final : public ImportanceMetric {
 public:
  using Options = PositionOptions;
  explicit PositionMetric(const Options& options) : options_(options) {}
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  Options options_;
  std::int64_t units_ = 0;
};

}  // namespace espalier::plugins
