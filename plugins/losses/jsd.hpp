// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "softened.hpp"

namespace espalier::plugins {

struct JsdOptions : SoftenedOptions {
  double beta;
  template <class V>
  void fields(V& v) {
    v("beta", beta, 0.5, between(0.0, 1.0),
      "the teacher's share of the mixture: near 0 like forward KL, near 1 like reverse KL; at the ends exactly these");
    SoftenedOptions::fields(v);
  }
  void validate(OptionSource& source) const;
};

// Generalised Jensen–Shannon divergence (GKD, arXiv 2306.13649): β KL(p ‖ m) + (1 − β) KL(q ‖ m), m = β p + (1 − β) q.
// It goes to 0 at both ends of β, where divided by β it is forward KL, or by 1 − β reverse KL: β = 0 and 1 give these.
// By a probability of the student its derivative is (1 − β) log(q/m).
class JsdLoss final : public SoftenedLoss {
 public:
  using Options = JsdOptions;
  explicit JsdLoss(const Options& options) : SoftenedLoss(options), beta_(options.beta) {}

 protected:
  at::Tensor value(const at::Tensor& log_p, const at::Tensor& log_q) const override;
  at::Tensor slope(at::Tensor& log_p, at::Tensor& log_q) const override;

 private:
  double beta_;
};

}  // namespace espalier::plugins
