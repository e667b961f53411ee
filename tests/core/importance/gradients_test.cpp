// SPDX-License-Identifier: Apache-2.0
// The gradients that metrics are shown, beside autograd through the whole model and beside finite differences.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/importance/calibration.hpp"
#include "espalier/testkit/specs.hpp"
#include "plugins/importance/taylor.hpp"
#include "tests/core/importance/collector.hpp"

using espalier::Evidence;
using espalier::Features;
using espalier::Hooks;
using espalier::Model;
using espalier::ModelSpec;
using espalier::ScoreJob;
using espalier::ScoreOptions;
using espalier::Scratch;
using espalier::Tap;
using espalier::TokenSource;
using espalier::WeightSource;
using espalier::plugins::TaylorMetric;
using espalier::testing::Album;
using espalier::testing::axis_of;
using espalier::testing::collecting;
using espalier::testing::job;
using espalier::testing::near;
using espalier::testing::options_of;
using espalier::testing::random_tokens;
using espalier::testing::Shown;
using espalier::testing::Streamed;

namespace {

constexpr std::int64_t kGradientSeq = 7, kGradientSamples = 5;
constexpr Tap kTaps[] = {Tap::norm_output, Tap::pre_activation, Tap::up_output, Tap::fc2_input, Tap::o_proj_input};

const char* axis_at(Tap tap) { return tap == Tap::norm_output ? "hidden" : tap == Tap::o_proj_input ? "heads" : "ffn"; }

espalier::AxisInfo part_axis(espalier::Part part) {
  espalier::AxisInfo axis = axis_of("layers");
  axis.name = name_of(part), axis.part = part;
  return axis;
}

// What a metric of every tap and those of the layers and their parts are shown.
struct Gradients {
  std::array<Album, std::size(kTaps)> taps;
  Album layers, attention, mlp;

  Gradients(WeightSource& weights, const std::vector<TokenSource>& data, const ScoreOptions& options) {
    std::vector<ScoreJob> jobs = {collecting(layers, axis_of("layers"), {Evidence::gradients, Tap::none})};
    jobs.push_back(collecting(attention, part_axis(espalier::Part::attention), {Evidence::gradients, Tap::none}));
    jobs.push_back(collecting(mlp, part_axis(espalier::Part::mlp), {Evidence::gradients, Tap::none}));
    for (std::size_t i = 0; i < taps.size(); ++i) {
      jobs.push_back(collecting(taps[i], axis_of(axis_at(kTaps[i])), {Evidence::gradients, kTaps[i]}));
    }
    score(weights, jobs, data, options);
  }

  // The instance of a layer's `occurrence`-th pass of a tap.
  const Shown* find(std::size_t tap, std::int64_t layer, std::size_t occurrence) const {
    for (const auto& shown : taps[tap]) {
      if (shown->site.layer == layer && occurrence-- == 0) return shown.get();
    }
    return nullptr;
  }
};

// Makes the embedding the leaf of a graph, keeps what passes each tap, and may move one number of one of them.
struct Meddler final : Hooks {
  using Place = std::pair<Tap, std::int64_t>;
  std::map<Place, std::vector<at::Tensor>> seen;
  std::map<std::int64_t, std::vector<at::Tensor>> added;  // what each layer's parts give, attention first
  Place moved{Tap::none, -1};
  std::size_t moved_occurrence = 0;
  std::int64_t index = 0;
  double by = 0.0;

  at::Tensor at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) override {
    std::vector<at::Tensor>& passes = seen[{tap, layer}];
    passes.push_back(x);
    if (moved != Place(tap, layer) || passes.size() != moved_occurrence + 1) return x;
    at::Tensor other = x.clone();
    other.view({-1})[index] += by;
    return other;
  }
  at::Tensor into_residual(std::int64_t layer, const at::Tensor& x) override {
    added[layer].push_back(x);
    return layer < 0 ? x.detach().requires_grad_(true) : x;
  }
};

// Σ over samples of the mean nll of learnt tokens, as the definition says it, in the model's dtype.
at::Tensor loss_of(Model& model, const at::Tensor& tokens, const at::Tensor& learnt, Meddler& meddler,
                   Features* features) {
  const at::Tensor hidden = hidden_states(model, tokens, &meddler, features);
  const at::Tensor scores = at::log_softmax(logits(model.outer(), hidden), -1);
  at::Tensor sum = at::zeros({}, hidden.options());
  for (std::int64_t n = 0; n < tokens.size(0); ++n) {
    at::Tensor nll = at::zeros({}, hidden.options());
    std::int64_t count = 0;
    for (std::int64_t t = 0; t + 1 < tokens.size(1); ++t) {
      if (learnt.defined() && !learnt[n][t].item<bool>()) continue;
      nll = nll - scores[n][t][tokens[n][t + 1].item<std::int64_t>()];
      ++count;
    }
    if (count > 0) sum = sum + nll / static_cast<double>(count);
  }
  return sum;
}

std::vector<ModelSpec> specs() {
  std::vector<ModelSpec> all;
  for (const char* family : espalier::testkit::kFamilies) all.push_back(espalier::testkit::small_spec(family));
  all.push_back(espalier::testkit::uneven_spec());
  return all;
}

Model wide_model(const ModelSpec& spec) {
  Model model(spec, 5, {at::kDouble, at::kCPU});
  // Norms and biases that are not what a fresh model has.
  for (at::Tensor& tensor : model.tensors()) {
    if (tensor.dim() == 1) tensor.add_(at::sin(at::arange(tensor.numel(), at::kDouble) * 1.3) * 0.3);
  }
  return model;
}

// A mask in which sample-sized stretches learn some tokens, and the whole of one window none.
std::vector<TokenSource> masked_tokens(const Scratch& scratch) {
  (void)random_tokens(scratch, "m", 5 * kGradientSeq, 31, 3);
  std::string mask;
  for (std::int64_t i = 0; i < 5 * kGradientSeq; ++i) mask += static_cast<char>(i / kGradientSeq == 2 ? 0 : i % 3 != 1);
  espalier::write_text(scratch / "m.mask", mask);
  return {{"m", std::nullopt, espalier::TokenFile(scratch / "m.bin", "uint16")}};
}

// Units of an axis of parts are the layers that have the part, in order.
void check_units(const Album& album, const ModelSpec& spec, bool (*has)(const espalier::LayerSpec&)) {
  REQUIRE(album.size() == 1);
  CHECK(album.front()->site.units == std::count_if(spec.layers.begin(), spec.layers.end(), has));
  for (std::size_t i = 0; i < album.front()->layers.size(); ++i) {
    const auto layer = spec.layers.begin() + album.front()->layers[i];
    CHECK(has(*layer));
    CHECK(album.front()->units[i] == std::count_if(spec.layers.begin(), layer, has));
  }
}

void check_against_autograd(Model& model, const std::vector<TokenSource>& data) {
  const ModelSpec& spec = model.spec();
  const ScoreOptions options = options_of(kGradientSamples, kGradientSeq, 2);
  const Gradients got(model, data, options);
  const espalier::Calibration calibration(data, kGradientSeq, kGradientSamples, options.seed, spec.vocab);
  const at::AutoGradMode with_gradients(true);
  Meddler meddler;
  Features features;
  const auto layers = static_cast<std::int64_t>(spec.layers.size());
  for (std::int64_t l = 0; l < layers; ++l) features[{l, false}] = at::Tensor();
  const at::Tensor loss = loss_of(model, calibration.tokens(0, kGradientSamples),
                                  calibration.learnt(0, kGradientSamples), meddler, &features);
  const auto gradient_of = [&](const at::Tensor& x) {
    return torch::autograd::grad({loss}, {x}, {}, /*retain_graph=*/true).front();
  };
  // Two orders of summation in float64.
  const auto same = [](const at::Tensor& a, const at::Tensor& b) { return at::allclose(a, b, 1e-9, 1e-13); };
  check_units(got.attention, spec, [](const espalier::LayerSpec& layer) { return layer.attention; });
  check_units(got.mlp, spec, [](const espalier::LayerSpec& layer) { return layer.mlp; });
  for (std::int64_t l = 0; l < layers; ++l) {
    REQUIRE(got.layers.size() == 1);
    const Shown& layer = *got.layers.front();
    CHECK(same(layer.all(layer.gradients, l), gradient_of(features[{l, false}])));
    CHECK(same(layer.all(layer.outputs, l), features[{l, false}]));
    // Between input and output of a part lies what it adds; its gradient is that of the output.
    std::size_t part = 0;
    for (const Album* album : {&got.attention, &got.mlp}) {
      const espalier::LayerSpec& shape = spec.layers[static_cast<std::size_t>(l)];
      const Shown& shown = *album->front();
      const at::Tensor gradient = shown.all(shown.gradients, l);
      CHECK(gradient.defined() == (album == &got.mlp ? shape.mlp : shape.attention));
      if (!gradient.defined()) continue;
      const at::Tensor& given = meddler.added[l].at(part++);
      CHECK(same(gradient, gradient_of(given)));
      CHECK(same(shown.all(shown.outputs, l) - shown.all(shown.inputs, l), given));
    }
    for (std::size_t i = 0; i < std::size(kTaps); ++i) {
      const std::vector<at::Tensor>& passes = meddler.seen[{kTaps[i], l}];
      for (std::size_t occurrence = 0; occurrence < passes.size(); ++occurrence) {
        CAPTURE(std::string(espalier::name_of(kTaps[i])));
        const Shown* shown = got.find(i, l, occurrence);
        REQUIRE(shown != nullptr);
        CHECK_FALSE(shown->in_grad_mode);
        CHECK_FALSE(shown->inputs.front().requires_grad());
        const at::Tensor input = shown->all(shown->inputs), gradient = shown->all(shown->gradients);
        CHECK(gradient.sizes() ==
              at::IntArrayRef({kGradientSamples, kGradientSeq, shown->site.units, shown->site.channels}));
        CHECK(same(input.view(passes[occurrence].sizes()), passes[occurrence]));
        CHECK(same(gradient.view(passes[occurrence].sizes()), gradient_of(passes[occurrence])));
      }
      CHECK(got.find(i, l, passes.size()) == nullptr);
    }
  }
}

}  // namespace

TEST_CASE("gradients are those of autograd through the whole model, for every family and for uneven layers") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 100, 31, 3)};
  for (const ModelSpec& spec : specs()) {
    CAPTURE(spec.family);
    Model model = wide_model(spec);
    check_against_autograd(model, data);
  }
}

TEST_CASE("only learnt tokens have a loss, and a sample without them has no gradient") {
  const Scratch scratch;
  const std::vector<TokenSource> data = masked_tokens(scratch);
  Model model = wide_model(espalier::testkit::small_spec("llama"));
  check_against_autograd(model, data);
  const Gradients got(model, data, options_of(kGradientSamples, kGradientSeq, 5));
  const Shown& shown = *got.layers.front();
  CHECK((shown.all(shown.gradients, 2).abs().sum(at::IntArrayRef({1, 2})) == 0).sum().item<std::int64_t>() == 1);
}

TEST_CASE("gradients are what finite differences give") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 100, 31, 3)};
  const ScoreOptions options = options_of(2, kGradientSeq, 1);
  for (const char* family : espalier::testkit::kFamilies) {
    CAPTURE(std::string(family));
    Model model = wide_model(espalier::testkit::small_spec(family));
    const Gradients got(model, data, options);
    const at::Tensor tokens =
        espalier::Calibration(data, kGradientSeq, 2, options.seed, model.spec().vocab).tokens(0, 2);
    const at::NoGradGuard no_grad;
    const auto loss_with = [&](Tap tap, std::size_t occurrence, std::int64_t index, double by) {
      Meddler meddler;
      meddler.moved = {tap, 1}, meddler.moved_occurrence = occurrence, meddler.index = index, meddler.by = by;
      return loss_of(model, tokens, {}, meddler, nullptr).item<double>();
    };
    for (std::size_t i = 0; i < std::size(kTaps); ++i) {
      const std::size_t occurrence = kTaps[i] == Tap::norm_output ? 1 : 0;
      const Shown* shown = got.find(i, 1, occurrence);
      REQUIRE(shown != nullptr);
      const at::Tensor gradient = shown->all(shown->gradients).view({-1});
      for (const std::int64_t index : {std::int64_t{5}, gradient.numel() / 3, gradient.numel() / 2 + 3}) {
        constexpr double kStep = 1e-5;  // error of the step: its square, and 1e-16 / 1e-5 of rounding
        const double expected =
            (loss_with(kTaps[i], occurrence, index, kStep) - loss_with(kTaps[i], occurrence, index, -kStep)) /
            (2 * kStep);
        CHECK(std::abs(gradient[index].item<double>() - expected) < 1e-7 * (1 + std::abs(expected)));
      }
    }
  }
}

TEST_CASE("micro-batches, tiles and streamed layers do not change taylor's scores; a tile fetches each layer twice") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  std::vector<ScoreJob> jobs = {job<TaylorMetric>("layers", "taylor")};
  for (const char* axis : {"hidden", "ffn", "heads", "kv_groups"}) jobs.push_back(job<TaylorMetric>(axis, "taylor"));
  Model model = espalier::testing::tiny_model();
  const auto whole = score(model, jobs, data, options_of(10, kGradientSeq, 10));
  const auto check_same = [&](const std::vector<espalier::Scores>& other) {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      for (std::size_t l = 0; l < whole[i].per_layer.size(); ++l)
        CHECK(near(other[i].per_layer[l], whole[i].per_layer[l], 1e-4));  // float32 through three layers and back
    }
  };
  check_same(score(model, jobs, data, options_of(10, kGradientSeq, 1)));
  check_same(score(model, jobs, data, options_of(10, kGradientSeq, 3)));
  Streamed streamed(model);
  check_same(score(streamed, jobs, data, options_of(10, kGradientSeq, 3)));
  CHECK(streamed.fetched == 6);
  ScoreOptions tiles = options_of(10, kGradientSeq, 2);
  tiles.tile_bytes = 4 * kGradientSeq * 12 * 4 * 4;  // four samples of three inputs and a gradient
  streamed.fetched = 0;
  check_same(score(streamed, jobs, data, tiles));
  CHECK(streamed.fetched == 18);
}

TEST_CASE("taylor's scores come from the tap's activation and gradient, for the whole model") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 100, 31, 3)};
  Model model(espalier::testing::tiny_spec(), 5, {at::kFloat, at::kCPU});
  const ScoreOptions options = options_of(kGradientSamples, kGradientSeq, 2);
  const Gradients got(model, data, options);
  const auto scores = score(
      model, {job<TaylorMetric>("hidden", "taylor"), job<TaylorMetric>("heads", "taylor", {{"samples", "square"}})},
      data, options);
  at::Tensor hidden = at::zeros({12}, at::kDouble);
  const auto products = [&](std::size_t tap, std::int64_t layer, std::size_t occurrence) {
    const Shown* shown = got.find(tap, layer, occurrence);
    return (shown->all(shown->inputs).to(at::kDouble) * shown->all(shown->gradients).to(at::kDouble))
        .sum(at::IntArrayRef({1, 3}));  // (samples, units)
  };
  for (std::int64_t l = 0; l < 3; ++l) {
    for (const std::size_t occurrence : {0, 1}) hidden += products(0, l, occurrence).abs().mean(0);
    CHECK(near(scores[1].per_layer[static_cast<std::size_t>(l)], products(4, l, 0).square().mean(0).sqrt()));
  }
  CHECK(near(scores[0].per_layer[0], hidden));
}
