// SPDX-License-Identifier: Apache-2.0
// Metrics of whole layers, against plain walks.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "core/forward/walk.hpp"
#include "core/importance/calibration.hpp"
#include "core/importance/score.hpp"
#include "plugins/importance/block_influence.hpp"
#include "plugins/importance/loss_drop.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::Model;
using espalier::Scores;
using espalier::Scratch;
using espalier::TokenSource;
using espalier::plugins::BlockInfluence;
using espalier::plugins::LossDrop;
using espalier::testing::job;
using espalier::testing::kSamples;
using espalier::testing::kSeq;
using espalier::testing::near;
using espalier::testing::options_of;
using espalier::testing::random_tokens;
using espalier::testing::samples_of;
using espalier::testing::Streamed;
using espalier::testing::tiny_model;

namespace {

// Skips one layer, and notes the mean of 1 − cos of all others.
struct Skipper final : espalier::WalkVisitor {
  std::int64_t skip = -1;
  std::vector<double> influence = std::vector<double>(3, 0.0);
  bool enter(std::int64_t layer, std::size_t, const at::Tensor&) override { return layer != skip; }
  void leave(std::int64_t layer, std::size_t, const at::Tensor& before, const at::Tensor& after) override {
    const at::Tensor cosine = at::cosine_similarity(before.to(at::kDouble), after.to(at::kDouble), -1);
    influence[static_cast<std::size_t>(layer)] = (1 - cosine).mean().item<double>();
  }
};

double loss_without(Model& model, const at::Tensor& tokens, std::int64_t skip) {
  const at::NoGradGuard no_grad;
  Skipper skipper;
  skipper.skip = skip;
  const espalier::Weights outer = model.outer();
  const at::Tensor hidden = final_norm(model.spec(), outer, walk(model, {tokens}, &skipper)[0], nullptr);
  return next_token_nll(outer, hidden, tokens).to(at::kDouble).mean().item<double>();
}

}  // namespace

TEST_CASE("block influence is the mean over all tokens of 1 - cos between a layer's input and output") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  Model model = tiny_model();
  Skipper reference;
  {
    const at::NoGradGuard no_grad;
    walk(model, {samples_of(data)}, &reference);
  }
  Streamed streamed(model);
  for (const std::int64_t micro_batch : {1, 3, 7}) {
    for (espalier::WeightSource* weights :
         {static_cast<espalier::WeightSource*>(&model), static_cast<espalier::WeightSource*>(&streamed)}) {
      const std::vector<Scores> scores = score(*weights, {job<BlockInfluence>("layers", "block_influence")}, data,
                                               options_of(kSamples, kSeq, micro_batch));
      CHECK(near(scores[0].per_layer[0], at::tensor(reference.influence, at::kDouble)));
    }
  }
}

TEST_CASE("loss drop is what the nll rises when one layer is skipped") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  Model model = tiny_model();
  const at::Tensor tokens = samples_of(data);
  std::vector<double> expected;
  for (std::int64_t layer = 0; layer < 3; ++layer)
    expected.push_back(loss_without(model, tokens, layer) - loss_without(model, tokens, -1));
  Streamed streamed(model);
  for (const std::int64_t micro_batch : {1, 3, 7}) {
    const std::vector<Scores> scores =
        score(model, {job<LossDrop>("layers", "loss_drop")}, data, options_of(kSamples, kSeq, micro_batch));
    CHECK(near(scores[0].per_layer[0], at::tensor(expected, at::kDouble), 1e-4));
  }
  const std::vector<Scores> scores =
      score(streamed, {job<LossDrop>("layers", "loss_drop")}, data, options_of(kSamples, kSeq, 2));
  CHECK(near(scores[0].per_layer[0], at::tensor(expected, at::kDouble), 1e-4));
  CHECK(streamed.fetched == 3);
}

TEST_CASE("a layer that does nothing has no influence and no loss to drop") {
  const Scratch scratch;
  const std::vector<TokenSource> data = {random_tokens(scratch, "a", 200, 31, 3)};
  Model model = tiny_model();
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const espalier::Parameter& parameter = model.parameters()[i];
    if (parameter.layer == 1 && (parameter.role == espalier::Role::o || parameter.role == espalier::Role::down))
      model.tensors()[i].zero_();
  }
  const std::vector<Scores> scores =
      score(model, {job<BlockInfluence>("layers", "block_influence"), job<LossDrop>("layers", "loss_drop")}, data,
            options_of(kSamples, kSeq, 2));
  for (const Scores& score : scores) {
    CHECK(score.per_layer[0][1].item<float>() == 0.0f);
    CHECK(score.per_layer[0][0].item<float>() != 0.0f);
  }
}
