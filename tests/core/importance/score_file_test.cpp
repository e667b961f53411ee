// SPDX-License-Identifier: Apache-2.0
#include "core/importance/score_file.hpp"

#include <limits>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/checkpoint/safetensors.hpp"
#include "plugins/importance/activation.hpp"
#include "plugins/importance/loss_drop.hpp"
#include "plugins/importance/magnitude.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::load_scores;
using espalier::save_scores;
using espalier::ScoreFile;
using espalier::Scratch;

TEST_CASE("scores come back as they were saved, shared or by layer") {
  const Scratch scratch;
  const ScoreFile shared{"hidden", true, {{at::arange(5, at::kFloat)}}, {{"metric", "activation"}, {"teacher", "abc"}}};
  save_scores(scratch / "hidden.safetensors", shared);
  const ScoreFile one = load_scores(scratch / "hidden.safetensors");
  CHECK(one.axis == "hidden");
  CHECK(one.shared);
  CHECK(at::equal(one.scores.per_layer.at(0), shared.scores.per_layer[0]));
  CHECK(one.metadata.at("teacher") == "abc");

  ScoreFile layered{"ffn", false, {}, {}};
  for (std::int64_t l = 0; l < 12; ++l)
    layered.scores.per_layer.push_back(at::full({l == 7 ? 0 : 3}, static_cast<float>(l)));
  save_scores(scratch / "ffn.safetensors", layered);
  const ScoreFile many = load_scores(scratch / "ffn.safetensors");
  CHECK_FALSE(many.shared);
  REQUIRE(many.scores.per_layer.size() == 12);
  for (std::size_t l = 0; l < 12; ++l) CHECK(at::equal(many.scores.per_layer[l], layered.scores.per_layer[l]));
  CHECK(espalier::SafetensorsFile(scratch / "ffn.safetensors").find("ffn/11") != nullptr);
}

TEST_CASE("the metadata say how the scores were made, and of data only when data was looked at") {
  const espalier::ScoreOptions options = espalier::testing::options_of(16, 128);
  const auto activation = score_metadata(
      espalier::testing::job<espalier::plugins::ActivationMetric>("ffn", "activation", {{"seq", "l2"}}), options);
  CHECK(activation.at("metric") == "activation");
  CHECK(activation.at("options") == "seq=l2;");
  CHECK(activation.at("samples") == "16");
  CHECK(activation.at("seq_length") == "128");
  const auto magnitude =
      score_metadata(espalier::testing::job<espalier::plugins::MagnitudeMetric>("ffn", "magnitude"), options);
  CHECK(magnitude.count("samples") == 0);
  espalier::ScoreJob runs = espalier::testing::job<espalier::plugins::LossDrop>("layers", "loss_drop");
  CHECK(score_metadata(runs, options).count("run") == 0);
  runs.axis.one_run = true, runs.run = 3;
  CHECK(score_metadata(runs, options).at("run") == "3");
}

TEST_CASE("files that are not scores are refused") {
  const Scratch scratch;
  const espalier::fs::path path = scratch / "x.safetensors";
  espalier::save_tensors(path, {{"ffn/0", at::zeros({2})}});
  CHECK_THROWS_WITH_AS(load_scores(path),
                       (path.string() + ": not a file of scores; got no 'axis' in its metadata").c_str(),
                       espalier::Error);
  espalier::save_tensors(path, {{"ffn/0", at::zeros({2})}, {"ffn/2", at::zeros({2})}}, {{"axis", "ffn"}});
  CHECK_THROWS_WITH_AS(
      load_scores(path),
      (path.string() + ": unexpected set of tensors; got 2 of them; expected 'ffn' or 'ffn/0' to 'ffn/1'").c_str(),
      espalier::Error);
  espalier::save_tensors(path, {{"ffn/0", at::full({2}, std::numeric_limits<float>::infinity())}}, {{"axis", "ffn"}});
  CHECK_THROWS_WITH_AS(load_scores(path),
                       (path.string() + ": tensor 'ffn/0': damaged; got a score that is not finite").c_str(),
                       espalier::Error);
  espalier::save_tensors(path, {{"hidden", at::zeros({2}, at::kDouble)}}, {{"axis", "hidden"}});
  CHECK_THROWS_WITH_AS(load_scores(path),
                       (path.string() + ": tensor 'hidden': wrong dtype; got F64; expected F32").c_str(),
                       espalier::Error);
}
