// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/importance/passes.hpp"

namespace espalier {
namespace {

struct Loss {
  double sum = 0.0;
  double tokens = 0.0;
  double mean() const { return tokens > 0 ? sum / tokens : 0.0; }
};

class Probe {
 public:
  Probe(WeightSource& weights, const Calibration& calibration, const ScoreOptions& options)
      : weights_(weights),
        spec_(weights.spec()),
        calibration_(calibration),
        options_(options),
        losses_(spec_.layers.size() + 1) {}

  // Variant 0 is the whole model, variant i + 1 lacks layer i.
  void run_tile(std::int64_t first, std::int64_t count, const std::function<void()>& on_layer) {
    const std::vector<at::Tensor> batches = batches_of(weights_, calibration_, options_, first, count);
    const Weights outer = weights_.outer();
    std::vector<std::vector<at::Tensor>> states(1);
    for (const at::Tensor& tokens : batches) states[0].push_back(embed(outer, tokens, nullptr));
    for (std::size_t l = 0; l < spec_.layers.size(); ++l) {
      const std::vector<at::Tensor> without = states[0];
      run_layer(static_cast<std::int64_t>(l), states);
      states.push_back(without);
      on_layer();
    }
    for (std::size_t variant = 0; variant < states.size(); ++variant) {
      for (std::size_t b = 0; b < batches.size(); ++b) {
        const std::int64_t from = first + static_cast<std::int64_t>(b) * options_.micro_batch;
        add_loss(losses_[variant], outer, states[variant][b], batches[b],
                 calibration_.learnt(from, batches[b].size(0)));
      }
    }
  }

  const std::vector<Loss>& losses() const { return losses_; }

 private:
  void run_layer(std::int64_t layer, std::vector<std::vector<at::Tensor>>& states) {
    const Weights weights = weights_.layer(layer);
    const Compute compute = weights_.compute();
    const std::int64_t head_dim = spec_.layers[static_cast<std::size_t>(layer)].head_dim;
    const Rotary rotary = rotary_table(spec_.rope, head_dim, calibration_.seq_length(), compute.dtype, compute.device);
    for (std::vector<at::Tensor>& variant : states) {
      for (at::Tensor& hidden : variant) hidden = decoder_layer(spec_, layer, weights, rotary, hidden, nullptr);
    }
  }

  void add_loss(Loss& loss, const Weights& outer, const at::Tensor& hidden, const at::Tensor& tokens,
                const at::Tensor& learnt) {
    const at::Tensor nll =
        next_token_nll(outer, final_norm(spec_, outer, hidden, nullptr), tokens).to(at::kCPU, at::kDouble);
    loss.sum += (learnt.defined() ? nll.masked_select(learnt) : nll).sum().item<double>();
    loss.tokens += static_cast<double>(learnt.defined() ? learnt.sum().item<std::int64_t>() : nll.numel());
  }

  WeightSource& weights_;
  const ModelSpec& spec_;
  const Calibration& calibration_;
  const ScoreOptions& options_;
  std::vector<Loss> losses_;
};

}  // namespace

void observe_probes(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
                    const ScoreOptions& options) {
  const auto layers = static_cast<std::int64_t>(weights.spec().layers.size());
  const std::int64_t tile = tile_samples(weights, calibration, options, layers + 1),
                     tiles = (calibration.size() + tile - 1) / tile;
  ProgressBar progress("probe", tiles * layers);
  Probe probe(weights, calibration, options);
  std::int64_t done = 0;
  for (std::int64_t first = 0; first < calibration.size(); first += tile) {
    probe.run_tile(first, std::min(tile, calibration.size() - first), [&] {
      throw_if_interrupted();
      progress.update(++done);
    });
  }
  const double base = probe.losses().front().mean();
  for (Sites* one : sites) {
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const double loss = probe.losses()[static_cast<std::size_t>(layer) + 1].mean();
      one->at(-1, 0, 1).observe({.layer = layer,
                                 .unit = layer,
                                 .input = kNoTensor,
                                 .output = kNoTensor,
                                 .gradient = kNoTensor,
                                 .readers = kNoTensor,
                                 .loss = loss,
                                 .base_loss = base});
    }
  }
}

}  // namespace espalier
