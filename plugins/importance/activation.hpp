// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/metric.hpp"
#include "espalier/sdk/options.hpp"
#include "reduction.hpp"
#include "taps.hpp"

namespace espalier::plugins {

struct ActivationOptions {
  std::string seq, batch, tap, norm;
  template <class V>
  void fields(V& v) {
    v("seq", seq, "mean", one_of({"mean", "l2", "var"}),
      "first, over the tokens of a sample: mean |a|, l2 norm or variance");
    v("batch", batch, "l2", one_of({"mean", "l2", "var"}), "then, over the samples");
    v("tap", tap, "", any_tap(), "where to look; empty: the axis's own choice");
    v("norm", norm, "token_norm", one_of({"token_norm", "channel_then_norm"}),
      "units of several channels: l2 norm over them for each token, or of the channels' finished scores");
  }
};

// Activation magnitude as in arXiv 2407.14679, section 2.2: the tokens of a sample first, then the samples.
class ActivationMetric final : public ImportanceMetric {
 public:
  using Options = ActivationOptions;
  explicit ActivationMetric(const Options& options);
  Needs needs(const AxisInfo& axis) const override;
  void begin(const Site& site) override;
  void observe(const Observation& observation) override;
  at::Tensor scores() const override;
  std::vector<at::Tensor> state() const override;
  void restore(const std::vector<at::Tensor>& state) override;
  void merge(const std::vector<at::Tensor>& later) override;

 private:
  Options options_;
  Reduce seq_;
  bool token_norm_;
  Site site_;
  SampleReduction samples_;
};

}  // namespace espalier::plugins
