// SPDX-License-Identifier: Apache-2.0
// Scores of whole models against formulas worked out here on what a plain forward pass shows.
#include "core/importance/score.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "core/importance/calibration.hpp"
#include "plugins/importance/activation.hpp"
#include "plugins/importance/magnitude.hpp"
#include "plugins/importance/random.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::Model;
using espalier::Role;
using espalier::Scores;
using espalier::Scratch;
using espalier::Tap;
using espalier::TokenSource;
using espalier::plugins::ActivationMetric;
using espalier::plugins::MagnitudeMetric;
using espalier::plugins::RandomMetric;
using espalier::testing::job;
using espalier::testing::kSeq;
using espalier::testing::near;
using espalier::testing::options_of;
using espalier::testing::random_tokens;
using espalier::testing::Recorder;
using espalier::testing::Streamed;
using espalier::testing::tiny_model;

namespace {

// sqrt(Σ_samples mean_t(|x|)²), in float64, of all samples' x (N, T, …).
at::Tensor l2_of_means(const at::Tensor& x) { return x.to(at::kDouble).abs().mean(1).square().sum(0).sqrt(); }

at::Tensor seen(const Recorder& recorder, Tap tap, std::int64_t layer, std::size_t occurrence = 0) {
  for (const Recorder::Pass& pass : recorder.passes) {
    if (pass.tap == tap && pass.layer == layer && occurrence-- == 0) return pass.x;
  }
  return {};
}

Recorder record(Model& model, const std::vector<TokenSource>& data, std::int64_t samples) {
  const espalier::Calibration calibration(data, kSeq, samples, options_of(samples, kSeq).seed, model.spec().vocab);
  Recorder recorder;
  const at::NoGradGuard no_grad;
  hidden_states(model, calibration.tokens(0, samples), &recorder);
  return recorder;
}

}  // namespace

TEST_CASE("widths: hidden sums every layer's norms, ffn and heads look where they should") {
  for (const char* family : {"llama", "nemotron"}) {
    CAPTURE(family);
    const Scratch scratch;
    const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
    Model model = tiny_model(family);
    const Recorder recorder = record(model, data, 6);
    const std::vector<Scores> scores =
        score(model,
              {job<ActivationMetric>("hidden", "activation"), job<ActivationMetric>("ffn", "activation"),
               job<ActivationMetric>("ffn", "activation", {{"tap", "pre_activation"}}),
               job<ActivationMetric>("heads", "activation"), job<ActivationMetric>("kv_groups", "activation"),
               job<ActivationMetric>("heads", "activation", {{"norm", "channel_then_norm"}})},
              data, options_of(6, kSeq, 2));
    at::Tensor hidden = at::zeros({12}, at::kDouble);
    for (std::int64_t layer = 0; layer < 3; ++layer) {
      for (const std::size_t occurrence : {0, 1})
        hidden += l2_of_means(seen(recorder, Tap::norm_output, layer, occurrence));
      const auto l = static_cast<std::size_t>(layer);
      CHECK(near(scores[1].per_layer[l], l2_of_means(seen(recorder, Tap::fc2_input, layer))));
      CHECK(near(scores[2].per_layer[l], l2_of_means(seen(recorder, Tap::pre_activation, layer))));
      const at::Tensor o = seen(recorder, Tap::o_proj_input, layer).to(at::kDouble);
      CHECK(near(scores[3].per_layer[l], l2_of_means(o.view({6, kSeq, 6, 4}).norm(2, {-1}))));
      CHECK(near(scores[4].per_layer[l], l2_of_means(o.view({6, kSeq, 2, 12}).norm(2, {-1}))));
      CHECK(near(scores[5].per_layer[l], l2_of_means(o).view({6, 4}).norm(2, {-1})));
    }
    REQUIRE(scores[0].per_layer.size() == 1);
    CHECK(near(scores[0].per_layer[0], hidden));
  }
}

TEST_CASE("micro-batches and tiles do not change the scores; streamed layers are fetched once per tile") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3),
                                         random_tokens(scratch, "b", 90, 31, 4)};
  const std::vector<espalier::ScoreJob> jobs = {job<ActivationMetric>("hidden", "activation", {{"batch", "var"}}),
                                                job<ActivationMetric>("heads", "activation")};
  Model model = tiny_model();
  const std::vector<Scores> whole = score(model, jobs, data, options_of(10, kSeq, 10));
  const auto check_same = [&](const std::vector<Scores>& other) {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      for (std::size_t l = 0; l < whole[i].per_layer.size(); ++l)
        CHECK(near(other[i].per_layer[l], whole[i].per_layer[l]));
    }
  };
  check_same(score(model, jobs, data, options_of(10, kSeq, 1)));
  check_same(score(model, jobs, data, options_of(10, kSeq, 3)));
  Streamed streamed(model);
  check_same(score(streamed, jobs, data, options_of(10, kSeq, 3)));
  CHECK(streamed.fetched == 3);
  espalier::ScoreOptions tiles = options_of(10, kSeq, 2);
  tiles.tile_bytes = 4 * kSeq * 12 * 4;  // four samples
  streamed.fetched = 0;
  check_same(score(streamed, jobs, data, tiles));
  CHECK(streamed.fetched == 9);
}

TEST_CASE("magnitude adds up every tensor that names the axis") {
  Model model = tiny_model();
  const std::vector<Scores> scores = score(
      model,
      {job<MagnitudeMetric>("ffn", "magnitude"), job<MagnitudeMetric>("heads", "magnitude", {{"norm", "l1"}}),
       job<MagnitudeMetric>("hidden", "magnitude"), job<MagnitudeMetric>("layers", "magnitude", {{"norm", "l1"}})},
      {}, options_of(1, kSeq));
  const espalier::Weights w = model.layer(1), outer = model.outer();
  const auto squares = [](const at::Tensor& x, std::int64_t dim) {
    return x.detach().to(at::kDouble).square().sum(dim);
  };
  CHECK(near(scores[0].per_layer[1],
             (squares(w[Role::gate], 1) + squares(w[Role::up], 1) + squares(w[Role::down], 0)).sqrt()));
  const at::Tensor q = w[Role::q].detach().abs().to(at::kDouble).view({6, -1}).sum(1),
                   o = w[Role::o].detach().abs().to(at::kDouble).view({12, 6, 4}).sum(at::IntArrayRef({0, 2}));
  CHECK(near(scores[1].per_layer[1], q + o));
  at::Tensor hidden = squares(outer[Role::embed], 0) + squares(outer[Role::head], 0) +
                      outer[Role::final_norm].detach().to(at::kDouble).square();
  at::Tensor layers = at::zeros({3}, at::kDouble);
  for (std::int64_t l = 0; l < 3; ++l) {
    const espalier::Weights x = model.layer(l);
    for (const Role role : {Role::q, Role::k, Role::v, Role::gate, Role::up}) hidden += squares(x[role], 0);
    for (const Role role : {Role::o, Role::down}) hidden += squares(x[role], 1);
    for (const Role role : {Role::attn_norm, Role::mlp_norm}) hidden += x[role].detach().to(at::kDouble).square();
    for (const at::Tensor& tensor : x.by_role) {
      if (tensor.defined()) layers[l] += tensor.detach().abs().to(at::kDouble).sum();
    }
  }
  CHECK(near(scores[2].per_layer[0], hidden.sqrt()));
  CHECK(near(scores[3].per_layer[0], layers));
}

TEST_CASE("random scores need no data, differ from layer to layer and repeat with the seed") {
  Model model = tiny_model();
  const std::vector<espalier::ScoreJob> jobs = {
      job<RandomMetric>("ffn", "random"), job<RandomMetric>("hidden", "random"), job<RandomMetric>("layers", "random")};
  const std::vector<Scores> first = score(model, jobs, {}, options_of(1, kSeq)),
                            second = score(model, jobs, {}, options_of(1, kSeq));
  CHECK(at::equal(first[0].per_layer[0], second[0].per_layer[0]));
  CHECK_FALSE(at::equal(first[0].per_layer[0], first[0].per_layer[1]));
  CHECK(first[1].per_layer.size() == 1);
  CHECK(first[2].per_layer[0].numel() == 3);
  espalier::ScoreOptions other = options_of(1, kSeq);
  other.seed = 12;
  CHECK_FALSE(at::equal(score(model, jobs, {}, other)[0].per_layer[0], first[0].per_layer[0]));
}

TEST_CASE("the same run twice gives the same bits") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  const std::vector<espalier::ScoreJob> jobs = {job<ActivationMetric>("hidden", "activation"),
                                                job<ActivationMetric>("ffn", "activation")};
  Model model = tiny_model();
  const std::vector<Scores> first = score(model, jobs, data, options_of(8, kSeq, 2)),
                            second = score(model, jobs, data, options_of(8, kSeq, 2));
  for (std::size_t l = 0; l < 3; ++l) CHECK(at::equal(first[1].per_layer[l], second[1].per_layer[l]));
  CHECK(at::equal(first[0].per_layer[0], second[0].per_layer[0]));
}

TEST_CASE("layers without attention or MLP have no scores there, and hidden still sums what there is") {
  espalier::ModelSpec spec = espalier::testing::tiny_spec();
  spec.layers[1].attention = false, spec.layers[2].mlp = false;
  Model model(spec, 5, {at::kFloat, at::kCPU});
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  const std::vector<Scores> scores =
      score(model,
            {job<ActivationMetric>("heads", "activation"), job<ActivationMetric>("ffn", "activation"),
             job<ActivationMetric>("hidden", "activation")},
            data, options_of(4, kSeq));
  CHECK(scores[0].per_layer[0].numel() == 6);
  CHECK(scores[0].per_layer[1].numel() == 0);
  CHECK(scores[1].per_layer[2].numel() == 0);
  CHECK(scores[2].per_layer[0].numel() == 12);
}
