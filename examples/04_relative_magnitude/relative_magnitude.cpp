// SPDX-License-Identifier: Apache-2.0
// Relative magnitude of a block: Mohammad Samragh, Mehrdad Farajtabar, Sachin Mehta, Raviteja Vemulapalli, Fartash
// Faghri, Devang Naik, Oncel Tuzel, Mohammad Rastegari, "Weight subcloning: direct initialization of transformers using
// larger pretrained ones", 2023, arXiv:2312.09299, section 3 and figure 2.
//
//   score(layer) = mean over tokens of ‖f(x)‖ / ‖x + f(x)‖
//
// A decoder layer computes y = x + f(x), f its attention and MLP together; f(x) is what the layer changes. Where it is
// small the layer is nearly the identity, and the paper removes it. Unlike 1 - cos(x, y), this sees a change of length.
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <espalier/sdk/sdk.hpp>

namespace {

at::Tensor lengths(const at::Tensor& x) { return at::linalg_vector_norm(x, 2, at::IntArrayRef({-1})); }

class RelativeMagnitude final : public espalier::ImportanceMetric {
 public:
  using Options = espalier::NoOptions;
  explicit RelativeMagnitude(const Options&) {}

  espalier::Needs needs(const espalier::AxisInfo& axis) const override {
    if (axis.dims != std::vector{espalier::Dim::layers}) {
      throw espalier::RecipeError("metric 'relative_magnitude' scores whole layers; got axis '" + axis.name +
                                  "'; expected an axis of layers, such as 'layers'");
    }
    return {espalier::Evidence::block_io, espalier::Tap::none};
  }

  void begin(const espalier::Site& site) override {
    sum_ = at::zeros({site.units}, at::kDouble), tokens_ = at::zeros({site.units}, at::kDouble);
  }

  void observe(const espalier::Observation& seen) override {  // input x and output y: (batch, seq, hidden)
    const at::Tensor x = seen.input.to(at::kDouble), y = seen.output.to(at::kDouble);
    const at::Tensor ratio = lengths(y - x) / lengths(y).clamp_min(1e-300);  // 0 / 0 counts as no change
    sum_.select(0, seen.unit).add_(ratio.sum().to(at::kCPU));
    tokens_.select(0, seen.unit).add_(ratio.numel());
  }

  at::Tensor scores() const override {
    if (tokens_.min().item<double>() == 0.0) {
      throw espalier::Error(
          "metric 'relative_magnitude' has no scores; got a layer with 0 tokens; expected at least 1");
    }
    return (sum_ / tokens_).to(at::kFloat);
  }

  std::vector<at::Tensor> state() const override { return {sum_.clone(), tokens_.clone()}; }
  void restore(const std::vector<at::Tensor>& state) override {
    sum_ = state.at(0).clone(), tokens_ = state.at(1).clone();
  }
  void merge(const std::vector<at::Tensor>& later) override { sum_.add_(later.at(0)), tokens_.add_(later.at(1)); }

 private:
  at::Tensor sum_, tokens_;  // (layers)
};

}  // namespace

ESPALIER_PLUGIN("relative_magnitude", "0.1.0", registrar) {
  registrar.add<RelativeMagnitude>("relative_magnitude",
                                   "layers: mean over tokens of |f(x)| / |x + f(x)| (Samragh et al. 2023)");
}
