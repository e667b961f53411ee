// SPDX-License-Identifier: Apache-2.0
// Average percentage of zeros: Hengyuan Hu, Rui Peng, Yu-Wing Tai, Chi-Keung Tang, "Network Trimming: A Data-Driven
// Neuron Pruning Approach towards Efficient Deep Architectures", 2016, arXiv:1607.03250, section 3.
//
//   APoZ(unit) = number of (token, channel) where the unit's output is 0 / number of all (token, channel)
//
// The paper trims the units with the highest APoZ. A score is larger for what matters more: it is 1 - APoZ, the share
// of outputs that are not 0. ReLU gives exact zeros; SiLU does not, and |output| <= threshold stands for them. The
// threshold is ours, not the paper's.
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <espalier/sdk/sdk.hpp>

namespace {

struct ApozOptions {
  double threshold;
  template <class V>
  void fields(V& v) {
    v("threshold", threshold, 0.0, espalier::at_least(0.0), "an output of at most this size counts as zero");
  }
};

class Apoz final : public espalier::ImportanceMetric {
 public:
  using Options = ApozOptions;
  Apoz(const Options& options, const espalier::Host& host) : options_(options), host_(host) {}

  espalier::Needs needs(const espalier::AxisInfo& axis) const override {
    if (axis.taps.empty()) {
      throw espalier::RecipeError("metric 'apoz' counts zeros of activations; got axis '" + axis.name +
                                  "'; expected an axis of a width, such as 'ffn'");
    }
    return {espalier::Evidence::activations, axis.taps.front()};
  }

  void begin(const espalier::Site& site) override {
    active_ = at::zeros({site.units}, at::kDouble);
    seen_ = at::zeros({1}, at::kDouble);
  }

  void observe(const espalier::Observation& seen) override {
    const at::Tensor active = seen.input.to(at::kFloat).abs() > options_.threshold;  // (batch, seq, units, channels)
    active_.add_(active.sum({0, 1, 3}).to(at::kCPU, at::kDouble));  // whole numbers: exact in any order
    seen_.add_(static_cast<double>(active.size(0) * active.size(1) * active.size(3)));
  }

  at::Tensor scores() const override {
    const double seen = seen_.item<double>();
    if (seen == 0.0) throw espalier::Error("metric 'apoz' has no scores; got 0 samples; expected at least 1");
    if (active_.min().item<double>() == seen) {  // all units alike: the choice will be that of their numbers
      host_.warn(
          "metric 'apoz' tells no unit from another; got not one output that counts as zero; expected a larger "
          "threshold, above 0 for a model whose activation is not ReLU");
    }
    return (active_ / seen).to(at::kFloat);
  }

  std::vector<at::Tensor> state() const override { return {active_.clone(), seen_.clone()}; }
  void restore(const std::vector<at::Tensor>& state) override {
    active_ = state.at(0).clone(), seen_ = state.at(1).clone();
  }
  void merge(const std::vector<at::Tensor>& later) override { active_.add_(later.at(0)), seen_.add_(later.at(1)); }

 private:
  Options options_;
  const espalier::Host& host_;
  at::Tensor active_;  // (units) outputs that are not zero
  at::Tensor seen_;    // (1) outputs of one unit
};

}  // namespace

ESPALIER_PLUGIN("apoz", "0.1.0", registrar) {
  registrar.add<Apoz>("apoz", "1 - the average percentage of zeros in each unit's output (Hu et al. 2016)");
}
