// SPDX-License-Identifier: Apache-2.0
// Forward without gradients, keeping each layer's input; then backward one layer at a time, from the last: its weights
// are fetched again and it runs once more on the kept input, under autograd, with the gradient of its output from
// above.
#include <algorithm>
#include <array>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/forward/logit_rows.hpp"
#include "core/forward/rotary_cache.hpp"
#include "core/forward/walk.hpp"
#include "core/importance/passes.hpp"
#include "core/model/layer_axis.hpp"

namespace espalier {
namespace {

at::Tensor leaf_of(const at::Tensor& x) { return x.detach().requires_grad_(true); }

// (rows, V): the gradient of Σ weight · nll in the logits of rows that predict `labels`.
at::Tensor nll_gradient(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& weight) {
  at::Tensor p = logits.softmax(1);
  p.scatter_add_(1, labels, at::ones({1, 1}, p.options()).neg().expand_as(labels));
  return p.mul_(weight.to(p.scalar_type()));
}

// The gradient of each sample's mean nll over its learnt tokens in the states after the final norm, (B, T, H). Logits
// exist for a chunk of rows at a time. A sample that learns nothing has no gradient.
at::Tensor head_gradient(const Weights& outer, const at::Tensor& normed, const at::Tensor& tokens,
                         const at::Tensor& learnt) {
  const std::int64_t batch = normed.size(0), predicted = normed.size(1) - 1, width = normed.size(2);
  const at::Tensor counts = learnt.defined() ? learnt.to(normed.device(), at::kDouble)
                                             : at::ones({batch, predicted}, normed.options().dtype(at::kDouble));
  const at::Tensor weight = (counts / counts.sum(1, true).clamp_min(1)).reshape({-1, 1});
  const at::Tensor rows = normed.narrow(1, 0, predicted).reshape({batch * predicted, width});
  const at::Tensor labels = tokens.narrow(1, 1, predicted).reshape({-1, 1});
  const std::int64_t chunk = logit_rows(outer);
  const at::Tensor gradient = at::zeros_like(rows);
  for (std::int64_t first = 0; first < rows.size(0); first += chunk) {
    const std::int64_t count = std::min(chunk, rows.size(0) - first);
    const at::Tensor of_logits = nll_gradient(logits(outer, rows.narrow(0, first, count)),
                                              labels.narrow(0, first, count), weight.narrow(0, first, count));
    gradient.narrow(0, first, count).copy_(product(of_logits.to(rows.scalar_type()), outer[Role::head]));
  }
  const at::Tensor all = at::zeros_like(normed);  // nothing is predicted from the last position
  all.narrow(1, 0, predicted).copy_(gradient.view({batch, predicted, width}));
  return all;
}

// The same in the states before the final norm.
at::Tensor loss_gradient(const ModelSpec& spec, const Weights& outer, const at::Tensor& hidden,
                         const at::Tensor& tokens, const at::Tensor& learnt) {
  const at::Tensor leaf = leaf_of(hidden);
  at::Tensor normed;
  {
    const at::AutoGradMode with_gradients(true);
    normed = final_norm(spec, outer, leaf, nullptr);
  }
  const at::Tensor gradient = head_gradient(outer, normed.detach(), tokens, learnt);
  return torch::autograd::grad({normed}, {leaf}, {gradient}).front();
}

// Which unit of an axis of layers a layer's part is; -1 where the layer lacks it.
std::int64_t unit_of_layer(const ModelSpec& spec, std::int64_t layer, Part part) {
  const std::vector<std::int64_t> layers = layers_with(spec, part);
  const auto found = std::find(layers.begin(), layers.end(), layer);
  return found == layers.end() ? -1 : found - layers.begin();
}

class InputKeeper final : public WalkVisitor {
 public:
  InputKeeper(std::size_t layers, std::size_t batches) : inputs(layers, std::vector<at::Tensor>(batches)) {}
  bool enter(std::int64_t layer, std::size_t batch, const at::Tensor& hidden) override {
    inputs[static_cast<std::size_t>(layer)][batch] = hidden;
    return true;
  }
  std::vector<std::vector<at::Tensor>> inputs;  // layer, batch
};

// What one layer's forward pass shows at the taps that are asked for, still in the graph.
class TapKeeper final : public Hooks {
 public:
  explicit TapKeeper(const std::vector<Sites*>& sites) : sites_(sites) {}
  at::Tensor at_tap(Tap tap, std::int64_t, const at::Tensor& x) override {
    const std::int64_t occurrence = passed_[static_cast<std::size_t>(tap)]++;
    const bool wanted = std::any_of(sites_.begin(), sites_.end(), [&](const Sites* sites) {
      return sees_tap(sites->needs(), sites->job().axis) && sites->needs().tap == tap;
    });
    if (wanted) seen.push_back({tap, occurrence, x});
    return x;
  }
  struct Pass {
    Tap tap;
    std::int64_t occurrence;
    at::Tensor x;
  };
  std::vector<Pass> seen;

 private:
  const std::vector<Sites*>& sites_;
  std::array<std::int64_t, 16> passed_{};
};

class GradientPass {
 public:
  GradientPass(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
               const ScoreOptions& options, std::function<void()> on_layer)
      : weights_(weights),
        spec_(weights.spec()),
        sites_(sites),
        calibration_(calibration),
        options_(options),
        tables_(spec_, calibration.seq_length(), weights.compute()),
        on_layer_(std::move(on_layer)) {}

  void run_tile(std::int64_t first, std::int64_t count) {
    const std::vector<at::Tensor> batches = batches_of(weights_, calibration_, options_, first, count);
    InputKeeper keeper(spec_.layers.size(), batches.size());
    std::vector<at::Tensor> states = walk(weights_, batches, &keeper, [&](std::int64_t) { on_layer_(); });
    {
      const Weights outer = weights_.outer();
      for (std::size_t b = 0; b < batches.size(); ++b) {
        const at::Tensor learnt =
            calibration_.learnt(first + static_cast<std::int64_t>(b) * options_.micro_batch, batches[b].size(0));
        states[b] = loss_gradient(spec_, outer, states[b], batches[b], learnt);
      }
    }
    for (std::size_t l = spec_.layers.size(); l-- > 0;) {
      back_through(static_cast<std::int64_t>(l), keeper.inputs[l], states);
      keeper.inputs[l].clear();
      on_layer_();
    }
  }

 private:
  // gradients: of the layer's outputs, becomes that of its inputs.
  void back_through(std::int64_t layer, const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& gradients) {
    const Weights weights = weights_.layer(layer);
    for (std::size_t b = 0; b < inputs.size(); ++b) {
      TapKeeper taps(sites_);
      const Streams streams = run_again(layer, weights, inputs[b], taps);
      std::vector<at::Tensor> wanted = {streams.input, streams.between};
      for (const TapKeeper::Pass& pass : taps.seen) wanted.push_back(pass.x);
      const std::vector<at::Tensor> got = torch::autograd::grad({streams.output}, wanted, {gradients[b]});
      show_parts(layer, streams, got[1], gradients[b]);
      for (std::size_t i = 0; i < taps.seen.size(); ++i) show_tap(layer, taps.seen[i], got[i + 2]);
      gradients[b] = got.front();
    }
  }

  // The residual stream before the layer, between its parts, and after it.
  struct Streams {
    at::Tensor input, between, output;
  };

  Streams run_again(std::int64_t layer, const Weights& weights, const at::Tensor& input, TapKeeper& taps) {
    const at::AutoGradMode with_gradients(true);
    const LayerSpec& shape = spec_.layers[static_cast<std::size_t>(layer)];
    const at::Tensor x = leaf_of(input);
    const at::Tensor between =
        shape.attention ? x + attention_block(spec_, layer, weights, tables_.of_layer(layer), x, &taps) : x;
    return {x, between, shape.mlp ? between + mlp_block(spec_, layer, weights, between, &taps) : between};
  }

  void show_parts(std::int64_t layer, const Streams& streams, const at::Tensor& of_between,
                  const at::Tensor& of_output) {
    const at::Tensor input = streams.input.detach(), between = streams.between.detach(),
                     output = streams.output.detach();
    for (Sites* sites : sites_) {
      const AxisInfo& axis = sites->job().axis;
      const std::int64_t unit = unit_of_layer(spec_, layer, axis.part);
      if (sees_tap(sites->needs(), axis) || unit < 0) continue;
      sites->at(-1, 0, 1).observe({.layer = layer,
                                   .unit = unit,
                                   .input = axis.part == Part::mlp ? between : input,
                                   .output = axis.part == Part::attention ? between : output,
                                   .gradient = axis.part == Part::attention ? of_between : of_output,
                                   .readers = kNoTensor});
    }
  }

  void show_tap(std::int64_t layer, const TapKeeper::Pass& pass, const at::Tensor& gradient) {
    for (Sites* sites : sites_) {
      const AxisInfo& axis = sites->job().axis;
      if (!sees_tap(sites->needs(), axis) || sites->needs().tap != pass.tap) continue;
      const Split split = split_of_tap(spec_, layer, pass.tap, axis);
      const at::Tensor units = units_of_tap(pass.x.detach(), split), of_units = units_of_tap(gradient, split);
      sites->at(layer, pass.occurrence, split.channels())
          .observe({.layer = layer, .input = units, .output = kNoTensor, .gradient = of_units, .readers = kNoTensor});
    }
  }

  WeightSource& weights_;
  const ModelSpec& spec_;
  const std::vector<Sites*>& sites_;
  const Calibration& calibration_;
  const ScoreOptions& options_;
  RotaryCache tables_;
  std::function<void()> on_layer_;
};

}  // namespace

void observe_gradients(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
                       const ScoreOptions& options) {
  const at::NoGradGuard no_grad;
  const auto layers = static_cast<std::int64_t>(weights.spec().layers.size());
  // The inputs of all layers, and the gradient on its way back.
  const std::int64_t tile = tile_samples(weights, calibration, options, layers + 1),
                     tiles = (calibration.size() + tile - 1) / tile;
  ProgressBar progress("gradients", 2 * tiles * layers);
  std::int64_t done = 0;
  GradientPass pass(weights, sites, calibration, options, [&] {
    throw_if_interrupted();
    progress.update(++done);
  });
  for (std::int64_t first = 0; first < calibration.size(); first += tile) {
    pass.run_tile(first, std::min(tile, calibration.size() - first));
  }
}

}  // namespace espalier
