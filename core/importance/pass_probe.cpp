// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <ATen/ATen.h>

#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/forward/logit_rows.hpp"
#include "core/importance/passes.hpp"
#include "core/importance/skips.hpp"

namespace espalier {
namespace {

struct Sums {
  double nll = 0.0, divergence = 0.0;
};

// Sums over learnt tokens for the whole model ([0]) and for every variant.
class Probe {
 public:
  Probe(const ModelSpec& spec, std::size_t variants) : spec_(spec), sums_(variants) {}

  // States of one batch before the final norm, of the whole model first; `states` is used up. `learnt`: (B, T-1) bool,
  // undefined when all tokens are.
  void add(const Weights& outer, std::vector<at::Tensor>& states, const at::Tensor& tokens, const at::Tensor& learnt) {
    const std::int64_t predicted = tokens.size(1) - 1, rows = tokens.size(0) * predicted;
    for (at::Tensor& state : states) state = state.narrow(1, 0, predicted).reshape({rows, state.size(2)});
    const at::Tensor labels = tokens.narrow(1, 1, predicted).reshape({rows, 1}),
                     counted = learnt.defined() ? learnt.reshape({rows}) : at::Tensor();
    const std::int64_t chunk = logit_rows(outer);
    for (std::int64_t first = 0; first < rows; first += chunk) {
      const std::int64_t count = std::min(chunk, rows - first);
      throw_if_interrupted();
      add_rows(outer, states, first, labels.narrow(0, first, count),
               counted.defined() ? counted.narrow(0, first, count) : at::Tensor());
    }
    tokens_ += static_cast<double>(counted.defined() ? counted.sum().item<std::int64_t>() : rows);
  }

  double nll(std::size_t variant) const { return mean(sums_[variant].nll); }
  double divergence(std::size_t variant) const { return mean(sums_[variant].divergence); }

 private:
  double mean(double sum) const { return tokens_ > 0 ? sum / tokens_ : 0.0; }

  // The logits of the whole model exist once for all variants.
  void add_rows(const Weights& outer, const std::vector<at::Tensor>& states, std::int64_t first,
                const at::Tensor& labels, const at::Tensor& counted) {
    at::Tensor whole, share;  // log-probabilities of the whole model, and probabilities
    for (std::size_t variant = 0; variant < states.size(); ++variant) {
      const at::Tensor rows = states[variant].narrow(0, first, labels.size(0));
      at::Tensor scores = logits(outer, final_norm(spec_, outer, rows, nullptr)).to(at::kFloat);
      const at::Tensor log_sum = scores.logsumexp(1);
      sums_[variant].nll += sum_of(log_sum - scores.gather(1, labels).squeeze(1), counted);
      scores = scores.sub_(log_sum.unsqueeze(1));
      if (variant == 0) {
        whole = scores, share = scores.exp();
      } else {
        sums_[variant].divergence += sum_of(scores.neg_().add_(whole).mul_(share).sum(1), counted);
      }
    }
  }

  static double sum_of(const at::Tensor& rows, const at::Tensor& counted) {
    const at::Tensor wide = rows.to(at::kCPU, at::kDouble);
    return (counted.defined() ? wide.masked_select(counted) : wide).sum().item<double>();
  }

  const ModelSpec& spec_;
  std::vector<Sums> sums_;
  double tokens_ = 0.0;
};

void show_probes(const ModelSpec& spec, Sites& sites, const std::vector<Skip>& skips, const Probe& probe) {
  for (std::int64_t unit = 0; unit < sites.units(-1); ++unit) {
    const Skip skip = skip_of(spec, sites, unit);
    const auto variant = static_cast<std::size_t>(std::find(skips.begin(), skips.end(), skip) - skips.begin()) + 1;
    sites.at(-1, 0, 1).observe({.layer = skip.layers.front(),
                                .unit = unit,
                                .input = kNoTensor,
                                .output = kNoTensor,
                                .gradient = kNoTensor,
                                .readers = kNoTensor,
                                .loss = probe.nll(variant),
                                .base_loss = probe.nll(0),
                                .divergence = probe.divergence(variant)});
  }
}

}  // namespace

void observe_probes(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
                    const ScoreOptions& options) {
  const ModelSpec& spec = weights.spec();
  const std::vector<Skip> skips = skips_of(spec, sites);
  const std::size_t variants = skips.size() + 1;
  const auto layers = static_cast<std::int64_t>(spec.layers.size());
  const std::int64_t tile = tile_samples(weights, calibration, options, static_cast<std::int64_t>(variants)),
                     tiles = (calibration.size() + tile - 1) / tile;
  ProgressBar progress("probe", tiles * layers);
  Probe probe(spec, variants);
  SkippingWalk walk(weights, skips);
  std::int64_t done = 0;
  for (std::int64_t first = 0; first < calibration.size(); first += tile) {
    const std::vector<at::Tensor> batches =
        batches_of(weights, calibration, options, first, std::min(tile, calibration.size() - first));
    SkippingWalk::States states = walk.run(batches, [&] {
      throw_if_interrupted();
      progress.update(++done);
    });
    const Weights outer = weights.outer();
    for (std::size_t b = 0; b < batches.size(); ++b) {
      std::vector<at::Tensor> of_batch;
      for (std::vector<at::Tensor>& variant : states) of_batch.push_back(std::move(variant[b]));
      const std::int64_t from = first + static_cast<std::int64_t>(b) * options.micro_batch;
      probe.add(outer, of_batch, batches[b], calibration.learnt(from, batches[b].size(0)));
    }
  }
  for (Sites* one : sites) show_probes(spec, *one, skips, probe);
}

}  // namespace espalier
