// SPDX-License-Identifier: Apache-2.0
// A small model with random weights, tokens for it, and axes as the plugins describe them.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "core/base/files.hpp"
#include "core/base/random.hpp"
#include "core/importance/calibration.hpp"
#include "core/importance/score.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/plugins/options.hpp"

namespace espalier::testing {

inline ModelSpec tiny_spec(const std::string& family = "llama") {
  ModelSpec spec;
  spec.family = family, spec.hidden = 12, spec.vocab = 31, spec.max_positions = 64;
  LayerSpec layer;
  layer.kv_groups = 2, layer.heads_per_group = 3, layer.head_dim = 4, layer.ffn = 10;
  spec.layers.assign(3, layer);
  if (family == "nemotron") {
    spec.norm = Norm::layernorm_1p, spec.activation = Activation::relu2, spec.gated = false, spec.rope.partial = 0.5;
  }
  return spec;
}

inline Model tiny_model(const std::string& family = "llama", std::uint64_t seed = 5) {
  return Model(tiny_spec(family), seed, {at::kFloat, at::kCPU});
}

// `count` tokens below `vocab` in a raw file.
inline TokenSource random_tokens(const Scratch& scratch, const std::string& name, std::int64_t count,
                                 std::int64_t vocab, std::uint64_t seed) {
  std::string bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto token =
        static_cast<std::uint16_t>(mix(seed, static_cast<std::uint64_t>(i)) % static_cast<std::uint64_t>(vocab));
    bytes += static_cast<char>(token & 0xFF), bytes += static_cast<char>(token >> 8);
  }
  const fs::path path = scratch / (name + ".bin");
  write_text(path, bytes);
  return {name, std::nullopt, TokenFile(path, "uint16")};
}

// The same weights, but not known to be resident: fetched layer by layer and walked in tiles.
class Streamed final : public WeightSource {
 public:
  explicit Streamed(Model& model) : model_(model) {}
  const ModelSpec& spec() const override { return model_.spec(); }
  Compute compute() const override { return model_.compute(); }
  Weights outer() override { return model_.outer(); }
  Weights layer(std::int64_t layer) override {
    ++fetched;
    return model_.layer(layer);
  }
  std::int64_t fetched = 0;

 private:
  Model& model_;
};

inline AxisInfo axis_of(const std::string& name) {
  AxisInfo axis;
  axis.name = axis.unit = name;
  if (name == "hidden") axis.dims = {Dim::hidden}, axis.shared = true, axis.taps = {Tap::norm_output};
  if (name == "ffn") axis.dims = {Dim::ffn}, axis.taps = {Tap::fc2_input, Tap::pre_activation, Tap::up_output};
  if (name == "heads") axis.dims = {Dim::kv_groups, Dim::heads_per_group}, axis.taps = {Tap::o_proj_input};
  if (name == "kv_groups") axis.dims = {Dim::kv_groups}, axis.taps = {Tap::o_proj_input};
  if (name == "layers") axis.dims = {Dim::layers}, axis.shared = true;
  return axis;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

// job<ActivationMetric>("ffn", "activation", {{"batch", "mean"}}): options are strings.
template <class Metric>
ScoreJob job(const std::string& axis, const std::string& name, const Pairs& options = {}) {
  ScoreJob result;
  result.axis = axis_of(axis);
  result.metric = name;
  result.plugin = "importance 9.9";
  for (const auto& [key, value] : options) result.options += key + "=" + value + ";";
  result.make_metric = [options] {
    TestOptions source;
    for (const auto& [key, value] : options) source.set(key, {value});
    return std::make_unique<Metric>(parse_options<typename Metric::Options>(source));
  };
  return result;
}

inline ScoreOptions options_of(std::int64_t samples, std::int64_t seq_length, std::int64_t micro_batch = 1) {
  ScoreOptions options;
  options.samples = samples, options.seq_length = seq_length, options.micro_batch = micro_batch, options.seed = 11;
  return options;
}

// What tests score on when the numbers do not matter.
inline constexpr std::int64_t kSeq = 9, kSamples = 7;

// The tokens that options_of(kSamples, kSeq) draws.
inline at::Tensor samples_of(const std::vector<TokenSource>& data) {
  return Calibration(data, kSeq, kSamples, options_of(kSamples, kSeq).seed, 31).tokens(0, kSamples);
}

// Everything that the taps and the layers show, sample by sample; the reference for what scoring sees.
struct Recorder final : Hooks {
  struct Pass {
    Tap tap;
    std::int64_t layer;
    at::Tensor x;
  };
  std::vector<Pass> passes;
  at::Tensor at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) override {
    passes.push_back({tap, layer, x.clone()});
    return x;
  }
};

inline bool near(const at::Tensor& a, const at::Tensor& b, double relative = 1e-5) {
  return a.sizes() == b.sizes() && at::allclose(a, b.to(a.scalar_type()), relative, 1e-7);
}

}  // namespace espalier::testing
