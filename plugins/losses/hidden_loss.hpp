// SPDX-License-Identifier: Apache-2.0
// What losses between hidden states share: the pairs of layers, and the way from one width to the other.
#pragma once

#include <cstdint>
#include <string>

#include "espalier/sdk/host.hpp"
#include "feature_map.hpp"

namespace espalier::plugins {

struct HiddenLossOptions : FeatureMap {
  std::string projector;
  template <class V>
  void fields(V& v) {
    FeatureMap::fields(v);
    v("projector", projector, "shared", one_of({"shared", "per_pair"}),
      "the linear map from the student's width to the teacher's: one for all pairs, or one for each; none where the "
      "widths agree");
  }
};

// A derived class compares u, the student's rows at the teacher's width, with v, the teacher's: both (rows, width).
class HiddenLoss : public FeatureLoss {
 public:
  using Options = HiddenLossOptions;
  HiddenLoss(const Options& options, const Host& host) : options_(options), seed_(host.seed()) {}
  FeaturePlan plan(const ModelSpec& student, const ModelSpec& teacher) const override;
  at::Tensor forward(const FeatureRows& rows) const override;

 protected:
  virtual at::Tensor compare(const at::Tensor& u, const at::Tensor& v) const = 0;  // (rows), differentiable in u

 private:
  Options options_;
  std::uint64_t seed_;
};

}  // namespace espalier::plugins
