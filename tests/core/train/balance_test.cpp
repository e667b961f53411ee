// SPDX-License-Identifier: Apache-2.0
// balance = "dynamic": L = L_logits + α · L_features, α = L_logits / L_features of each forward pass, a number.
#include <cmath>
#include <memory>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/progress.hpp"
#include "tests/core/train/tiny_run.hpp"

namespace {

using espalier::FeaturePair;
using espalier::Features;
using espalier::train;
namespace fs = espalier::fs;
namespace reference = espalier::reference;
using reference::TinyRun;

const std::vector<FeaturePair> kStates = {{{-1, true}, {-1, true}}, {{1, true}, {1, true}}};

struct BalancedRun : TinyRun {
  explicit BalancedRun(const fs::path& folder, std::int64_t steps = 12) : TinyRun(folder, steps) {
    espalier::ProgressBar::disable();
    job.losses[0].weight = 0.75;
    job.feature_losses.push_back({"hidden", 3.0, std::make_unique<reference::ProjectedMse>(kStates)});
    job.plan.dynamic_balance = true;
  }
};

// Zero, with a gradient that is not.
struct Nothing : reference::ProjectedMse {
  Nothing() : ProjectedMse(kStates) {}
  at::Tensor forward(const espalier::FeatureRows& rows) const override {
    const at::Tensor some = rows.student.sum(-1) + rows.parameters.at(0).sum();
    return some - some.detach();
  }
};

// The same weights in float64.
espalier::Model exact_copy(espalier::Model& model, std::int64_t hidden) {
  espalier::Model copy(reference::tiny_spec(hidden, true), 1, {at::kDouble, at::kCPU});
  for (std::size_t i = 0; i < copy.tensors().size(); ++i) copy.tensors()[i].copy_(model.tensors()[i]);
  return copy;
}

struct FirstStep {
  double logits = 0.0, features = 0.0, total = 0.0, alpha = 0.0, gradient_norm = 0.0;
};

// The first step by autograd over all logits, in float64: one graph for each micro-batch, gradients summed.
FirstStep first_step(BalancedRun& run, std::int64_t micro_batch) {
  espalier::Model student = exact_copy(run.student, 16), teacher = exact_copy(run.teacher, 24);
  student.set_requires_grad(true);
  const espalier::FeatureLoss& loss = *run.job.feature_losses[0].loss;
  const std::vector<at::Tensor> projector = {
      loss.plan(student.spec(), teacher.spec()).parameters[0].to(at::kDouble).requires_grad_()};
  const auto batch = run.data->batch(0, 4);
  const auto all = static_cast<double>(batch.labels.numel());
  FirstStep expected;
  for (std::int64_t first = 0; first < 4; first += micro_batch) {
    const at::Tensor tokens = batch.tokens.narrow(0, first, micro_batch),
                     labels = batch.labels.narrow(0, first, micro_batch).flatten();
    Features ours, theirs;
    for (const FeaturePair& pair : kStates) ours[pair.student], theirs[pair.teacher];
    const auto rows = [&](espalier::WeightSource& model, Features& features) {
      return espalier::logits(model.outer(), espalier::hidden_states(model, tokens, nullptr, &features)).flatten(0, 1);
    };
    const at::Tensor z = rows(student, ours), t = rows(teacher, theirs).detach();
    const at::Tensor logits = (0.75 * run.job.losses[0].loss->forward({z, t, labels}).sum() +
                               0.5 * run.job.losses[1].loss->forward({z, t, labels}).sum()) /
                              all;
    at::Tensor features = at::zeros({}, at::kDouble);
    for (std::size_t i = 0; i < kStates.size(); ++i) {
      const at::Tensor a = ours.at(kStates[i].student).flatten(0, 1), b = theirs.at(kStates[i].teacher).flatten(0, 1);
      features = features + 3.0 * loss.forward({static_cast<std::int64_t>(i), a, b.detach(), projector}).sum() / all;
    }
    const double alpha = logits.item<double>() / features.item<double>();
    const at::Tensor total = logits + alpha * features;
    total.backward();
    expected.logits += logits.item<double>();
    expected.features += features.item<double>();
    expected.total += total.item<double>();
    expected.alpha += alpha / (4.0 / static_cast<double>(micro_batch));
  }
  double squares = projector[0].grad().pow(2).sum().item<double>();
  for (const at::Tensor& tensor : student.tensors()) squares += tensor.grad().pow(2).sum().item<double>();
  expected.gradient_norm = std::sqrt(squares);
  return expected;
}

}  // namespace

TEST_CASE("dynamic balance: value, alpha and gradient equal the formula by autograd in float64") {
  const reference::TemporaryFolder folder;
  for (const std::int64_t micro_batch : {1, 2, 4}) {
    CAPTURE(micro_batch);
    BalancedRun run(folder.path() / std::to_string(micro_batch), 1);
    run.job.plan.micro_batch = micro_batch;
    const FirstStep expected = first_step(run, micro_batch);
    train(run.job);
    const nlohmann::json line = reference::lines_of(run.job.metrics).at(0);
    // float32 forward and backward against float64
    CHECK(0.75 * line["kl"].get<double>() + 0.5 * line["ce"].get<double>() ==
          doctest::Approx(expected.logits).epsilon(1e-5));
    CHECK(3.0 * line["hidden"].get<double>() == doctest::Approx(expected.features).epsilon(1e-5));
    CHECK(line["alpha"].get<double>() == doctest::Approx(expected.alpha).epsilon(1e-5));
    CHECK(line["loss"].get<double>() == doctest::Approx(expected.total).epsilon(1e-5));
    CHECK(line["grad_norm"].get<double>() == doctest::Approx(expected.gradient_norm).epsilon(1e-4));
    // Whatever the features' unit, they weigh as much as the logits.
    CHECK(line["loss"].get<double>() == doctest::Approx(2.0 * expected.logits).epsilon(1e-5));
  }
}

TEST_CASE("dynamic balance: the weight of a lone loss on features cancels, and so does its unit") {
  const reference::TemporaryFolder folder;
  const auto outcome = [&](double weight) {
    const fs::path place = folder.path() / std::to_string(weight);
    BalancedRun run(place, 3);
    run.job.feature_losses[0].weight = weight;
    train(run.job);
    return reference::lines_of(run.job.metrics).back();
  };
  const nlohmann::json one = outcome(1.0), many = outcome(4.0);  // powers of two: not even the rounding differs
  CHECK(one["grad_norm"] == many["grad_norm"]);
  CHECK(one["kl"] == many["kl"]);
  CHECK(one["alpha"].get<double>() == 4.0 * many["alpha"].get<double>());
}

TEST_CASE("dynamic balance: features without a loss get alpha 0 and move nothing, their gradient or not") {
  const reference::TemporaryFolder folder;
  BalancedRun run(folder.path() / "nothing", 3);
  run.job.feature_losses[0].loss = std::make_unique<Nothing>();
  train(run.job);
  TinyRun plain(folder.path() / "plain", 3);
  plain.job.losses[0].weight = 0.75;
  train(plain.job);
  const auto with = reference::lines_of(run.job.metrics), without = reference::lines_of(plain.job.metrics);
  for (std::size_t i = 0; i < with.size(); ++i) {
    CHECK(with[i]["alpha"] == 0.0);
    CHECK(with[i]["loss"] == without[i]["loss"]);
    CHECK(with[i]["grad_norm"] == without[i]["grad_norm"]);
    CHECK_FALSE(without[i].contains("alpha"));
  }
  for (std::size_t i = 0; i < run.student.tensors().size(); ++i) {
    CHECK(at::equal(run.student.tensors()[i], plain.student.tensors()[i]));
  }
}

TEST_CASE("dynamic balance: a run that was stopped ends with the same bytes, alpha and projector with it") {
  const reference::TemporaryFolder folder;
  struct Stop {};
  const auto make = [&](const char* name) {
    auto run = std::make_unique<BalancedRun>(folder.path() / name);
    run->job.plan.save_every = 5;
    return run;
  };
  train(make("whole")->job);
  const auto stopped = make("stopped");
  stopped->job.on_step = [](std::int64_t step) {
    if (step == 8) throw Stop();
  };
  CHECK_THROWS_AS(train(stopped->job), Stop);
  train(make("stopped")->job);
  CHECK(reference::outcome(folder.path() / "stopped", 12) == reference::outcome(folder.path() / "whole", 12));
  const auto lines = reference::lines_of(folder.path() / "whole" / "metrics.jsonl");
  CHECK(lines.front()["alpha"] != lines.back()["alpha"]);
}
