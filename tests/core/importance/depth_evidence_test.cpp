// SPDX-License-Identifier: Apache-2.0
// Evidence of layers, of their parts and of runs, against a loop over the layers written out here.
#include <cmath>
#include <functional>
#include <numbers>
#include <set>
#include <typeinfo>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/importance/calibration.hpp"
#include "core/importance/score.hpp"
#include "espalier/testkit/specs.hpp"
#include "plugins/importance/angular_distance.hpp"
#include "plugins/importance/block_influence.hpp"
#include "plugins/importance/kl_drop.hpp"
#include "plugins/importance/loss_drop.hpp"
#include "plugins/importance/magnitude.hpp"
#include "plugins/importance/position.hpp"
#include "plugins/importance/random.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::Model;
using espalier::ModelSpec;
using espalier::Part;
using espalier::Role;
using espalier::ScoreJob;
using espalier::Scratch;
using espalier::TokenSource;
using espalier::WeightSource;
using espalier::plugins::AngularDistance;
using espalier::plugins::BlockInfluence;
using espalier::plugins::KlDrop;
using espalier::plugins::LossDrop;
using espalier::plugins::MagnitudeMetric;
using espalier::plugins::PositionMetric;
using espalier::plugins::RandomMetric;
using espalier::testing::job;
using espalier::testing::kSamples;
using espalier::testing::kSeq;
using espalier::testing::near;
using espalier::testing::options_of;
using espalier::testing::Pairs;
using espalier::testing::random_tokens;
using espalier::testing::samples_of;
using espalier::testing::Streamed;

namespace {

const std::vector<Part> kParts = {Part::whole, Part::attention, Part::mlp};

// Five layers of a family; `uneven`: layer 1 without attention, layer 3 without an MLP.
ModelSpec spec_of(const std::string& family, bool uneven) {
  ModelSpec spec = espalier::testkit::small_spec(family);
  spec.layers.resize(5, spec.layers[0]);
  if (uneven) spec.layers[1].attention = spec.layers[3].mlp = false;
  return spec;
}

Model model_of(const ModelSpec& spec) { return Model(spec, 5, {at::kFloat, at::kCPU}); }

// The layers that have the part, worked out once more.
std::vector<std::int64_t> having(const ModelSpec& spec, Part part) {
  std::vector<std::int64_t> layers;
  for (std::size_t l = 0; l < spec.layers.size(); ++l) {
    if ((part != Part::attention || spec.layers[l].attention) && (part != Part::mlp || spec.layers[l].mlp))
      layers.push_back(static_cast<std::int64_t>(l));
  }
  return layers;
}

template <class Metric>
ScoreJob depth_job(Part part, std::int64_t run = 1, const Pairs& options = {}) {
  ScoreJob made = job<Metric>("layers", typeid(Metric).name(), options);  // a name of its own: equal jobs are one
  made.axis.part = part;
  made.axis.name = std::string("layers of ") + espalier::name_of(part);
  made.axis.one_run = run > 1;
  made.run = run;
  return made;
}

// The residual stream: before the attention, before the MLP and after it, of each layer.
struct Stream {
  std::vector<std::array<at::Tensor, 3>> of_layer;
  at::Tensor logits;  // (B, T, V) float64
};

// Everything at once, block by block; `skipped` names layer and part (attention or mlp).
Stream run_without(Model& model, const at::Tensor& tokens, const std::set<std::pair<std::int64_t, Part>>& skipped) {
  const at::NoGradGuard no_grad;
  const ModelSpec& spec = model.spec();
  const espalier::Weights outer = model.outer();
  Stream stream;
  at::Tensor x = espalier::embed(outer, tokens, nullptr);
  for (std::int64_t l = 0; l < 5; ++l) {
    const espalier::Weights weights = model.layer(l);
    const espalier::LayerSpec& layer = spec.layers[static_cast<std::size_t>(l)];
    const espalier::Rotary rotary =
        espalier::rotary_table(spec.rope, layer.head_dim, tokens.size(1), at::kFloat, at::kCPU);
    std::array<at::Tensor, 3> states = {x, x, x};
    if (layer.attention && !skipped.contains({l, Part::attention}))
      states[1] = x + espalier::attention_block(spec, l, weights, rotary, x, nullptr);
    states[2] = states[1];
    if (layer.mlp && !skipped.contains({l, Part::mlp}))
      states[2] = states[1] + espalier::mlp_block(spec, l, weights, states[1], nullptr);
    x = states[2];
    stream.of_layer.push_back(states);
  }
  stream.logits = espalier::logits(outer, espalier::final_norm(spec, outer, x, nullptr)).to(at::kDouble);
  return stream;
}

std::set<std::pair<std::int64_t, Part>> blocks_of(const std::vector<std::int64_t>& layers, Part part) {
  std::set<std::pair<std::int64_t, Part>> blocks;
  for (const std::int64_t layer : layers) {
    if (part != Part::mlp) blocks.insert({layer, Part::attention});
    if (part != Part::attention) blocks.insert({layer, Part::mlp});
  }
  return blocks;
}

// Of the predicted tokens that `learnt` (N, T-1) names: mean nll, and mean KL from `whole`.
double nll_of(const Stream& stream, const at::Tensor& tokens, const at::Tensor& learnt) {
  const at::Tensor log = at::log_softmax(stream.logits.narrow(1, 0, kSeq - 1), -1);
  return -log.gather(2, tokens.narrow(1, 1, kSeq - 1).unsqueeze(2))
              .squeeze(2)
              .masked_select(learnt)
              .mean()
              .item<double>();
}

double kl_of(const Stream& whole, const Stream& other, const at::Tensor& learnt) {
  const at::Tensor p = at::log_softmax(whole.logits.narrow(1, 0, kSeq - 1), -1),
                   q = at::log_softmax(other.logits.narrow(1, 0, kSeq - 1), -1);
  return (p.exp() * (p - q)).sum(-1).masked_select(learnt).mean().item<double>();
}

at::Tensor angles_of(const at::Tensor& x, const at::Tensor& y) {
  return at::acos(at::cosine_similarity(x.to(at::kDouble), y.to(at::kDouble), -1)) / std::numbers::pi;
}

// The same scores resident and streamed, in micro-batches of 1, 3 and 7, in one tile and in many.
void check_everywhere(Model& model, const ScoreJob& asked, const std::vector<TokenSource>& data,
                      const at::Tensor& expected, double tolerance) {
  Streamed streamed(model);
  for (WeightSource* weights : {static_cast<WeightSource*>(&model), static_cast<WeightSource*>(&streamed)}) {
    for (const std::int64_t micro_batch : {1, 3, 7}) {
      for (const std::int64_t tile : {std::int64_t{1}, std::int64_t{1} << 30}) {
        espalier::ScoreOptions options = options_of(kSamples, kSeq, micro_batch);
        options.tile_bytes = tile;
        const at::Tensor got = score(*weights, {asked}, data, options)[0].per_layer[0];
        CHECK_MESSAGE(near(got, expected, tolerance), got, expected);
      }
    }
  }
}

// Before and after unit `first` … `first + run - 1` of a part.
std::pair<at::Tensor, at::Tensor> around(const Stream& stream, const std::vector<std::int64_t>& units, Part part,
                                         std::int64_t first, std::int64_t run) {
  const auto at = [&](std::int64_t unit) {
    return stream.of_layer[static_cast<std::size_t>(units[static_cast<std::size_t>(unit)])];
  };
  return {at(first)[part == Part::mlp ? 1 : 0], at(first + run - 1)[part == Part::attention ? 1 : 2]};
}

// Zero output projections: the block adds nothing.
void silence(Model& model, std::int64_t layer, Part part) {
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const espalier::Parameter& parameter = model.parameters()[i];
    if (parameter.layer != layer) continue;
    const bool attention = parameter.role == Role::o || parameter.role == Role::o_bias,
               mlp = parameter.role == Role::down || parameter.role == Role::down_bias;
    if ((attention && part != Part::mlp) || (mlp && part != Part::attention)) model.tensors()[i].zero_();
  }
}

void amplify(Model& model, std::int64_t layer, Part part, double factor) {
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const espalier::Parameter& parameter = model.parameters()[i];
    if (parameter.layer != layer) continue;
    if ((parameter.role == Role::o && part != Part::mlp) || (parameter.role == Role::down && part != Part::attention))
      model.tensors()[i].mul_(factor);
  }
}

struct WantsRunsOfWeights final : espalier::ImportanceMetric {
  espalier::Needs needs(const espalier::AxisInfo&) const override {
    espalier::Needs needs;
    needs.evidence = espalier::Evidence::weights;
    needs.runs = true;
    return needs;
  }
  void begin(const espalier::Site&) override {}
  void observe(const espalier::Observation&) override {}
  at::Tensor scores() const override { return {}; }
  std::vector<at::Tensor> state() const override { return {}; }
  void restore(const std::vector<at::Tensor>&) override {}
  void merge(const std::vector<at::Tensor>&) override {}
};

}  // namespace

TEST_CASE("block influence and angular distance of layers, parts and runs are those of the residual stream") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  const at::Tensor tokens = samples_of(data);
  for (const bool uneven : {false, true}) {
    Model model = model_of(spec_of("llama", uneven));
    const Stream stream = run_without(model, tokens, {});
    for (const Part part : kParts) {
      for (const std::int64_t run : {1, 2, 4}) {
        if (run > 1 && part != Part::whole) continue;
        CAPTURE(std::string(espalier::name_of(part)));
        CAPTURE(run);
        const std::vector<std::int64_t> units = having(model.spec(), part);
        std::vector<double> influence, last, all;
        for (std::int64_t first = 0; first + run <= static_cast<std::int64_t>(units.size()); ++first) {
          const auto [before, after] = around(stream, units, part, first, run);
          const at::Tensor angles = angles_of(before, after);
          all.push_back(angles.mean().item<double>());
          last.push_back(angles.select(1, kSeq - 1).mean().item<double>());
          influence.push_back(
              (1 - at::cosine_similarity(before.to(at::kDouble), after.to(at::kDouble), -1)).mean().item<double>());
        }
        // float32 states against float64 cosines of them.
        check_everywhere(model, depth_job<AngularDistance>(part, run), data, at::tensor(last, at::kDouble), 1e-5);
        check_everywhere(model, depth_job<AngularDistance>(part, run, {{"tokens", "all"}}), data,
                         at::tensor(all, at::kDouble), 1e-5);
        if (run == 1)
          check_everywhere(model, depth_job<BlockInfluence>(part), data, at::tensor(influence, at::kDouble), 1e-5);
      }
    }
  }
}

TEST_CASE("loss and divergence without layers, parts and runs are those of a loop that leaves them out") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  const at::Tensor tokens = samples_of(data), learnt = at::ones({kSamples, kSeq - 1}, at::kBool);
  Model model = model_of(spec_of("llama", true));
  const Stream whole = run_without(model, tokens, {});
  for (const Part part : kParts) {
    const std::vector<std::int64_t> units = having(model.spec(), part);
    for (const std::int64_t run : {1, 2, 3}) {
      CAPTURE(std::string(espalier::name_of(part)));
      CAPTURE(run);
      std::vector<double> loss, divergence;
      for (std::size_t first = 0; first + static_cast<std::size_t>(run) <= units.size(); ++first) {
        const auto from = units.begin() + static_cast<std::ptrdiff_t>(first);
        const Stream left = run_without(model, tokens, blocks_of({from, from + run}, part));
        loss.push_back(nll_of(left, tokens, learnt) - nll_of(whole, tokens, learnt));
        divergence.push_back(kl_of(whole, left, learnt));
      }
      // Differences of means of float32 losses of about 3.
      check_everywhere(model, depth_job<LossDrop>(part, run), data, at::tensor(loss, at::kDouble), 1e-4);
      check_everywhere(model, depth_job<KlDrop>(part, run), data, at::tensor(divergence, at::kDouble), 1e-4);
    }
  }
}

TEST_CASE("only learnt tokens count in a loss and in a divergence") {
  const Scratch scratch;
  random_tokens(scratch, "a", 200, 31, 3);
  std::string mask;
  for (std::uint64_t i = 0; i < 200; ++i) mask += static_cast<char>(espalier::mix(9, i) % 2);
  espalier::write_text(scratch / "a.mask", mask);
  const std::vector<TokenSource> data = {{"a", std::nullopt, espalier::TokenFile(scratch / "a.bin", "uint16")}};
  REQUIRE(data[0].tokens.has_loss_mask());
  const espalier::Calibration calibration(data, kSeq, kSamples, options_of(kSamples, kSeq).seed, 31);
  const at::Tensor tokens = calibration.tokens(0, kSamples), learnt = calibration.learnt(0, kSamples);
  REQUIRE(learnt.defined());
  Model model = model_of(spec_of("qwen2", false));
  const Stream whole = run_without(model, tokens, {});
  std::vector<double> loss, divergence;
  for (std::int64_t layer = 0; layer < 5; ++layer) {
    const Stream left = run_without(model, tokens, blocks_of({layer}, Part::whole));
    loss.push_back(nll_of(left, tokens, learnt) - nll_of(whole, tokens, learnt));
    divergence.push_back(kl_of(whole, left, learnt));
  }
  check_everywhere(model, depth_job<LossDrop>(Part::whole), data, at::tensor(loss, at::kDouble), 1e-4);
  check_everywhere(model, depth_job<KlDrop>(Part::whole), data, at::tensor(divergence, at::kDouble), 1e-4);
}

TEST_CASE("a block that does nothing scores exactly nothing, and one that does most is kept, in every family") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  const auto options = options_of(kSamples, kSeq, 2);
  for (const char* family : espalier::testkit::kFamilies) {
    for (const Part part : kParts) {
      CAPTURE(std::string(family));
      CAPTURE(std::string(espalier::name_of(part)));
      Model model = model_of(spec_of(family, false));
      silence(model, 2, part);
      amplify(model, 3, part, 30.0);
      const auto scores = score(model,
                                {depth_job<BlockInfluence>(part), depth_job<AngularDistance>(part),
                                 depth_job<AngularDistance>(part, 1, {{"tokens", "all"}}), depth_job<LossDrop>(part),
                                 depth_job<KlDrop>(part)},
                                data, options);
      for (std::size_t i = 0; i < scores.size(); ++i) {
        CAPTURE(i);
        const at::Tensor& got = scores[i].per_layer[0];
        CHECK(got[2].item<float>() == 0.0f);
        if (i == 3) continue;  // random weights predict nothing: a loss may as well fall
        CHECK(got.argmin().item<std::int64_t>() == 2);
        CHECK(got.argmax().item<std::int64_t>() == 3);
      }
    }
  }
}

TEST_CASE("a run of layers that do nothing is found as a run") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  Model model = model_of(spec_of("nemotron", false));
  silence(model, 1, Part::whole), silence(model, 2, Part::whole);
  for (const ScoreJob& asked : {depth_job<AngularDistance>(Part::whole, 2), depth_job<KlDrop>(Part::whole, 2)}) {
    const at::Tensor got = score(model, {asked}, data, options_of(kSamples, kSeq, 3))[0].per_layer[0];
    REQUIRE(got.numel() == 4);
    CHECK(got[1].item<float>() == 0.0f);
    CHECK(got.argmin().item<std::int64_t>() == 1);
  }
}

TEST_CASE("one walk serves units and runs of several metrics, and each variant once") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  Model model = model_of(spec_of("qwen3", false));
  const std::vector<ScoreJob> jobs = {
      depth_job<LossDrop>(Part::whole),          depth_job<LossDrop>(Part::whole, 2),
      depth_job<KlDrop>(Part::whole, 2),         depth_job<KlDrop>(Part::mlp),
      depth_job<AngularDistance>(Part::whole),   depth_job<AngularDistance>(Part::whole, 3),
      depth_job<BlockInfluence>(Part::attention)};
  Streamed streamed(model);
  const auto together = score(streamed, jobs, data, options_of(kSamples, kSeq, 4));
  CHECK(streamed.fetched == 10);  // five layers for the states, five for the losses
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto alone = score(streamed, {jobs[i]}, data, options_of(kSamples, kSeq, 4));
    CHECK(at::equal(alone[0].per_layer[0], together[i].per_layer[0]));
  }
}

TEST_CASE("streamed states stay within the tile: more copies, fewer samples at a time") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  Model model = model_of(spec_of("llama", false));
  const auto fetched = [&](const ScoreJob& asked) {
    Streamed streamed(model);
    espalier::ScoreOptions options = options_of(6, kSeq);
    options.tile_bytes = 12 * kSeq * 24 * 4;  // states of twelve samples
    score(streamed, {asked}, data, options);
    return streamed.fetched / 5;  // passes over the weights
  };
  CHECK(fetched(depth_job<BlockInfluence>(Part::attention)) == 1);
  CHECK(fetched(depth_job<AngularDistance>(Part::whole, 2)) == 1);  // two inputs of each sample
  CHECK(fetched(depth_job<AngularDistance>(Part::whole, 4)) == 2);  // four
  CHECK(fetched(depth_job<LossDrop>(Part::whole)) == 3);            // the whole model and five variants
  CHECK(fetched(depth_job<LossDrop>(Part::whole, 3)) == 2);         // and three
}

TEST_CASE("magnitude weighs the tensors of the part, position and random look at the number of units") {
  Model model = model_of(spec_of("llama", true));
  const auto scores = score(model,
                            {depth_job<MagnitudeMetric>(Part::attention, 1, {{"norm", "l1"}}),
                             depth_job<MagnitudeMetric>(Part::mlp, 1, {{"norm", "l1"}}),
                             depth_job<MagnitudeMetric>(Part::whole, 1, {{"norm", "l1"}}),
                             depth_job<PositionMetric>(Part::mlp), depth_job<RandomMetric>(Part::attention)},
                            {}, options_of(1, kSeq));
  for (const Part part : kParts) {
    std::vector<double> expected;
    for (const std::int64_t layer : having(model.spec(), part)) {
      const espalier::Weights weights = model.layer(layer);
      double sum = 0.0;
      for (std::size_t role = 0; role < weights.by_role.size(); ++role) {
        const at::Tensor& tensor = weights.by_role[role];
        const bool mlp = role >= static_cast<std::size_t>(Role::mlp_norm);
        if (!tensor.defined() || (part == Part::mlp && !mlp) || (part == Part::attention && mlp)) continue;
        sum += tensor.detach().abs().to(at::kDouble).sum().item<double>();
      }
      expected.push_back(sum);
    }
    const std::size_t index = part == Part::attention ? 0 : part == Part::mlp ? 1 : 2;
    CHECK(near(scores[index].per_layer[0], at::tensor(expected, at::kDouble)));
  }
  CHECK(at::equal(scores[3].per_layer[0], at::tensor({4.0f, 3.0f, 2.0f, 1.0f})));
  CHECK(scores[4].per_layer[0].numel() == 4);
}

TEST_CASE("runs that there are not, and evidence that cannot give runs, are refused") {
  Model model = model_of(spec_of("llama", false));
  CHECK_THROWS_WITH(score(model, {depth_job<LossDrop>(Part::whole, 6)}, {}, options_of(1, kSeq)),
                    "axis 'layers of layer': no such runs; got 6 of 5 units");
  ScoreJob blocks = depth_job<AngularDistance>(Part::attention, 2);
  blocks.metric = "depth";
  CHECK_THROWS_WITH(needs_of(blocks),
                    "metric 'depth' (plugin importance 9.9) asks for block_io of runs of axis 'layers of attention', "
                    "whose units are the attentions of layers; expected probe or task, or an axis of whole layers");
  ScoreJob wanting = depth_job<RandomMetric>(Part::whole, 2);
  wanting.metric = "depth";
  wanting.make_metric = [] { return std::make_unique<WantsRunsOfWeights>(); };
  CHECK_THROWS_WITH(needs_of(wanting),
                    "metric 'depth' (plugin importance 9.9) asks for runs of axis 'layers of layer' with weights; "
                    "expected block_io, probe or task");
  wanting.axis.one_run = false;  // then it scores units
  CHECK(needs_of(wanting).runs);
}
