// SPDX-License-Identifier: Apache-2.0
#include "core/train/feature_terms.hpp"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/progress.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/train/micro_batch.hpp"
#include "espalier/sdk/error.hpp"
#include "tests/core/train/tiny_run.hpp"

namespace {

using espalier::FeaturePair;
using espalier::Features;
using espalier::Tap;
using espalier::train;
namespace fs = espalier::fs;
namespace reference = espalier::reference;
using reference::TinyRun;

const std::vector<FeaturePair> kPairs = {{{-1, false}, {-1, true}}, {{0, true}, {0, false}}, {{1, true}, {1, true}}};
const std::string kParameter = "feature_losses.0.hidden.0";

// A run with a loss on features beside those on logits.
struct FeatureRun : TinyRun {
  explicit FeatureRun(const fs::path& folder, std::int64_t steps = 12) : TinyRun(folder, steps) {
    espalier::ProgressBar::disable();
    job.feature_losses.push_back({"hidden", 2.0, std::make_unique<reference::ProjectedMse>(kPairs)});
  }
};

// Sees what goes into the blocks.
struct NormOutputs : espalier::Hooks {
  std::vector<at::Tensor> seen;  // attention and MLP of each layer in turn
  at::Tensor at_tap(Tap tap, std::int64_t, const at::Tensor& x) override {
    if (tap == Tap::norm_output) seen.push_back(x);
    return x;
  }
};

std::string plan_error(std::vector<FeaturePair> pairs) {
  std::vector<espalier::WeightedFeatureLoss> losses;
  losses.push_back({"hidden", 1.0, std::make_unique<reference::ProjectedMse>(std::move(pairs))});
  try {
    espalier::FeatureTerms(losses, reference::tiny_spec(16, true), reference::tiny_spec(24, true), at::kCPU);
  } catch (const espalier::Error& error) {
    return error.what();
  }
  return "";
}

at::Tensor trained_parameter(const fs::path& folder, std::int64_t steps) {
  const espalier::SafetensorsFile file(folder / "checkpoints" / fmt::format("iter_{:07}", steps) / "model.safetensors");
  const espalier::TensorInfo* info = file.find(kParameter);
  REQUIRE(info != nullptr);
  return file.tensor(*info).clone();
}

}  // namespace

TEST_CASE("features are the stream after a layer, and what the next norm makes of it") {
  espalier::Model model(reference::tiny_spec(16, true), 3, {at::kFloat, at::kCPU});
  const at::Tensor tokens = at::arange(20, at::kLong).view({2, 10});
  Features features;
  for (std::int64_t layer = -1; layer < 2; ++layer) features[{layer, false}], features[{layer, true}];
  features[{7, true}];
  NormOutputs hooks;
  const at::Tensor hidden = espalier::hidden_states(model, tokens, &hooks, &features);
  CHECK(features.at({-1, false}).equal(espalier::embed(model.outer(), tokens, nullptr)));
  REQUIRE(hooks.seen.size() == 4);
  CHECK(features.at({-1, true}).equal(hooks.seen[0]));
  CHECK(features.at({0, true}).equal(hooks.seen[2]));
  CHECK(features.at({1, true}).equal(hidden));
  CHECK(espalier::final_norm(model.spec(), model.outer(), features.at({1, false}), nullptr).equal(hidden));
  CHECK_FALSE(features.at({7, true}).defined());
}

TEST_CASE("losses on logits and on features train together: the first step equals autograd over the whole batch") {
  const reference::TemporaryFolder folder;
  const auto first_line = [&](std::int64_t micro_batch) {
    FeatureRun run(folder.path() / std::to_string(micro_batch), 1);
    run.job.plan.micro_batch = micro_batch;
    train(run.job);
    return reference::lines_of(run.job.metrics).at(0);
  };
  const nlohmann::json one = first_line(1), four = first_line(4);

  FeatureRun run(folder.path() / "autograd", 1);
  const auto batch = run.data->batch(0, 4);
  run.student.set_requires_grad(true);
  Features ours, theirs;
  for (const FeaturePair& pair : kPairs) ours[pair.student], theirs[pair.teacher];
  const auto rows = [&](espalier::WeightSource& model, Features& features) {
    return espalier::logits(model.outer(), espalier::hidden_states(model, batch.tokens, nullptr, &features))
        .flatten(0, 1);
  };
  const at::Tensor student = rows(run.student, ours), teacher = rows(run.teacher, theirs).detach();
  const at::Tensor labels = batch.labels.flatten();
  const at::Tensor kl = run.job.losses[0].loss->forward({student, teacher, labels}).mean();
  const at::Tensor ce = run.job.losses[1].loss->forward({student, teacher, labels}).mean();
  const espalier::FeatureLoss& loss = *run.job.feature_losses[0].loss;
  const std::vector<at::Tensor> parameters = {
      loss.plan(run.student.spec(), run.teacher.spec()).parameters[0].clone().requires_grad_()};
  at::Tensor hidden = at::zeros({});
  for (std::size_t i = 0; i < kPairs.size(); ++i) {
    const at::Tensor a = ours.at(kPairs[i].student).flatten(0, 1), b = theirs.at(kPairs[i].teacher).flatten(0, 1);
    hidden = hidden + loss.forward({static_cast<std::int64_t>(i), a, b.detach(), parameters}).mean();
  }
  (0.5 * kl + 0.5 * ce + 2.0 * hidden).backward();
  double squares = parameters[0].grad().pow(2).sum().item<double>();
  CHECK(squares > 0.0);
  for (const at::Tensor& tensor : run.student.tensors()) squares += tensor.grad().pow(2).sum().item<double>();
  for (const nlohmann::json& line : {one, four}) {
    CHECK(line["kl"].get<double>() == doctest::Approx(kl.item<double>()).epsilon(1e-5));
    CHECK(line["hidden"].get<double>() == doctest::Approx(hidden.item<double>()).epsilon(1e-5));
    CHECK(line["loss"].get<double>() ==
          doctest::Approx(0.5 * (kl + ce).item<double>() + 2.0 * hidden.item<double>()).epsilon(1e-5));
    CHECK(line["grad_norm"].get<double>() == doctest::Approx(std::sqrt(squares)).epsilon(1e-4));
  }
}

TEST_CASE("rows without a label take no part") {
  std::vector<espalier::WeightedFeatureLoss> losses;
  losses.push_back({"hidden", 1.0, std::make_unique<reference::ProjectedMse>(std::vector<FeaturePair>{kPairs[0]})});
  const espalier::FeatureTerms terms(losses, reference::tiny_spec(16, true), reference::tiny_spec(24, true), at::kCPU);
  const at::Tensor ours = at::randn({1, 4, 16}), theirs = at::randn({1, 4, 24});
  const at::Tensor two =
      at::tensor({std::int64_t{5}, std::int64_t{-100}, std::int64_t{-100}, std::int64_t{9}}).view({1, 4});
  const auto value = [&](const at::Tensor& a, const at::Tensor& b, const at::Tensor& labels) {
    return terms.evaluate({{{-1, false}, a}}, {{{-1, true}, b}}, espalier::kept_rows(labels), 0.5)
        .losses[0]
        .item<double>();
  };
  const at::Tensor ends = at::tensor({std::int64_t{0}, std::int64_t{3}});
  CHECK(value(ours, theirs, two) ==
        doctest::Approx(value(ours.index_select(1, ends), theirs.index_select(1, ends), at::zeros({1, 2}, at::kLong))));
}

TEST_CASE("rows without a label cost nothing: no value, no gradient, whatever they hold") {
  std::vector<espalier::WeightedFeatureLoss> losses;
  losses.push_back({"hidden", 1.5, std::make_unique<reference::ProjectedMse>(std::vector<FeaturePair>{kPairs[0]})});
  const espalier::FeatureTerms terms(losses, reference::tiny_spec(16, true), reference::tiny_spec(24, true), at::kCPU);
  const at::Tensor theirs = at::sin(at::arange(96, at::kFloat)).view({1, 4, 24});
  at::Tensor labels = at::zeros({1, 4}, at::kLong);
  labels.narrow(1, 1, 2).fill_(-100);
  const auto gradient = [&](float masked) {
    at::Tensor ours = at::cos(at::arange(64, at::kFloat)).view({1, 4, 16});
    ours.narrow(1, 1, 2).fill_(masked);
    ours.requires_grad_();
    const auto values = terms.evaluate({{{-1, false}, ours}}, {{{-1, true}, theirs}}, espalier::kept_rows(labels), 0.5);
    values.total.backward();
    CHECK(std::isfinite(values.losses[0].item<double>()));
    return ours.grad();
  };
  const at::Tensor clean = gradient(1.0F), poisoned = gradient(std::numeric_limits<float>::quiet_NaN());
  CHECK(clean.equal(poisoned));
  CHECK(clean.narrow(1, 1, 2).abs().max().item<float>() == 0.0F);
  CHECK(clean.narrow(1, 0, 1).abs().min().item<float>() > 0.0F);
}

TEST_CASE("features alone train, and their parameters go on from a checkpoint to the same bytes") {
  const reference::TemporaryFolder folder;
  const auto make = [&](const std::string& name) {
    auto run = std::make_unique<FeatureRun>(folder.path() / name);
    run->job.losses.clear();
    run->job.plan.save_every = 5;
    return run;
  };
  const auto whole = make("whole");
  train(whole->job);
  const auto lines = reference::lines_of(whole->job.metrics);
  CHECK(lines.back().at("hidden").get<double>() < 0.9 * lines.front().at("hidden").get<double>());

  struct Crash {};
  const auto stopped = make("stopped");
  stopped->job.on_step = [](std::int64_t step) {
    if (step == 8) throw Crash();
  };
  CHECK_THROWS_AS(train(stopped->job), Crash);
  const auto resumed = make("stopped");
  train(resumed->job);
  CHECK(reference::outcome(folder.path() / "stopped", 12) == reference::outcome(folder.path() / "whole", 12));
  const at::Tensor start =
      whole->job.feature_losses[0].loss->plan(whole->student.spec(), whole->teacher.spec()).parameters[0];
  CHECK_FALSE(trained_parameter(folder.path() / "whole", 12).equal(start));
}

TEST_CASE("a plan that the models cannot give is refused, with what they can") {
  CHECK(plan_error({{{2, true}, {0, true}}}) ==
        "loss 'hidden': a layer that the student does not have; got 2; expected 0 to 1, or -1 for the embedding's "
        "output");
  CHECK(plan_error({{{0, true}, {-2, true}}}) ==
        "loss 'hidden': a layer that the teacher does not have; got -2; expected 0 to 1, or -1 for the embedding's "
        "output");
  CHECK(plan_error({}) == "loss 'hidden': it compares nothing; got no pair of layers; expected one or more");
}
