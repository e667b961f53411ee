// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/forward/walk.hpp"
#include "core/importance/block_watcher.hpp"
#include "core/importance/passes.hpp"
#include "core/importance/readers.hpp"

namespace espalier {
namespace {

class Observer final : public WalkVisitor {
 public:
  Observer(const ModelSpec& spec, const std::vector<Sites*>& sites)
      : spec_(spec), sites_(sites), blocks_(spec, sites) {}
  std::int64_t copies() const { return blocks_.copies(); }

  void fetched(std::int64_t layer, const Weights& weights) override {
    for (Sites* sites : sites_) {
      if (sites->needs().readers) show_readers(*sites, spec_, layer, weights);
    }
  }

  bool enter(std::int64_t layer, std::size_t batch, const at::Tensor& hidden) override {
    passed_.fill(0);
    blocks_.enter(layer, batch, hidden);
    return true;
  }

  at::Tensor into_residual(std::int64_t layer, const at::Tensor& x) override {
    blocks_.into_residual(layer, x);
    return x;
  }

  at::Tensor at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) override {
    const std::int64_t occurrence = passed_[static_cast<std::size_t>(tap)]++;
    for (Sites* sites : sites_) {
      if (sites->needs().evidence != Evidence::activations || sites->needs().tap != tap) continue;
      const Split split = split_of_tap(spec_, layer, tap, sites->job().axis);
      const at::Tensor units = units_of_tap(x, split);
      sites->at(layer, occurrence, split.channels())
          .observe({.layer = layer, .input = units, .output = kNoTensor, .gradient = kNoTensor, .readers = kNoTensor});
    }
    return x;
  }

  void leave(std::int64_t layer, std::size_t batch, const at::Tensor& before, const at::Tensor& after) override {
    blocks_.leave(layer, batch, before, after);
  }

 private:
  const ModelSpec& spec_;
  const std::vector<Sites*>& sites_;
  BlockWatcher blocks_;
  std::array<std::int64_t, 16> passed_{};  // how often this layer has passed each tap in this batch
};

}  // namespace

std::int64_t tile_samples(const WeightSource& weights, const Calibration& calibration, const ScoreOptions& options,
                          std::int64_t copies) {
  // Resident weights cost nothing to fetch again: one micro-batch at a time.
  if (dynamic_cast<const Model*>(&weights) != nullptr) return options.micro_batch;
  const auto element = static_cast<std::int64_t>(c10::elementSize(weights.compute().dtype));
  const std::int64_t sample = calibration.seq_length() * weights.spec().hidden * element * copies;
  const std::int64_t batches = options.tile_bytes / std::max<std::int64_t>(sample, 1) / options.micro_batch;
  return std::max<std::int64_t>(batches, 1) * options.micro_batch;
}

std::vector<at::Tensor> batches_of(const WeightSource& weights, const Calibration& calibration,
                                   const ScoreOptions& options, std::int64_t first, std::int64_t count) {
  std::vector<at::Tensor> batches;
  for (std::int64_t at = first; at < first + count; at += options.micro_batch) {
    batches.push_back(
        calibration.tokens(at, std::min(options.micro_batch, first + count - at)).to(weights.compute().device));
  }
  return batches;
}

void observe_activations(WeightSource& weights, const std::vector<Sites*>& sites, const Calibration& calibration,
                         const ScoreOptions& options) {
  Observer observer(weights.spec(), sites);
  const auto layers = static_cast<std::int64_t>(weights.spec().layers.size());
  const std::int64_t tile = tile_samples(weights, calibration, options, observer.copies()),
                     tiles = (calibration.size() + tile - 1) / tile;
  ProgressBar progress("score", tiles * layers);
  for (std::int64_t index = 0; index < tiles; ++index) {
    const std::int64_t first = index * tile, count = std::min(tile, calibration.size() - first);
    walk(weights, batches_of(weights, calibration, options, first, count), &observer, [&](std::int64_t layer) {
      throw_if_interrupted();
      progress.update(index * layers + layer + 1);
    });
  }
}

}  // namespace espalier
