// SPDX-License-Identifier: Apache-2.0
#include "core/train/trainer.hpp"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/progress.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "espalier/sdk/error.hpp"
#include "tests/core/train/tiny_run.hpp"

namespace {

using espalier::train;
using espalier::TrainResult;
namespace fs = espalier::fs;
namespace reference = espalier::reference;
using reference::TinyRun;

// Thrown out of a callback, as a crash at that moment would end the run.
struct Crash : std::runtime_error {
  Crash() : std::runtime_error("crash") {}
};

std::string error_of(espalier::TrainJob& job) {
  espalier::ProgressBar::disable();
  try {
    train(job);
  } catch (const espalier::Error& error) {
    return error.what();
  }
  return "";
}

// The teacher is random: what can be learnt is in the labels.
void learn_labels(espalier::TrainJob& job) {
  job.losses[0].weight = 0.01;
  job.losses[1].weight = 1.0;
  job.scheduler = std::make_unique<reference::LinearDecay>(3e-2);
}

TrainResult run_to_the_end(TinyRun& run) {
  espalier::ProgressBar::disable();
  return train(run.job);
}

}  // namespace

TEST_CASE("training lowers the loss and leaves checkpoint, tracker and one metrics line a step") {
  for (const bool tied : {true, false}) {
    CAPTURE(tied);
    const reference::TemporaryFolder folder;
    TinyRun run(folder.path(), 60, tied);
    learn_labels(run.job);
    const TrainResult result = run_to_the_end(run);
    CHECK(result.steps == 60);
    CHECK(result.tokens == 60 * 4 * TinyRun::kSequence);
    const auto lines = reference::lines_of(folder.path() / "metrics.jsonl");
    REQUIRE(lines.size() == 60);
    CHECK(lines.back().at("ce").get<double>() < 0.8 * lines.front().at("ce").get<double>());
    CHECK(reference::bytes_of(folder.path() / "checkpoints" / "latest") == "iter_0000060\n");
    CHECK_FALSE(run.student.tensors().front().requires_grad());
  }
}

TEST_CASE("a metrics line has the keys of the contract and the weighted total") {
  const reference::TemporaryFolder folder;
  TinyRun run(folder.path(), 2);
  run.job.losses[0].weight = 0.25;
  run_to_the_end(run);
  const auto lines = reference::lines_of(folder.path() / "metrics.jsonl");
  const nlohmann::json& line = lines.at(1);
  for (const char* key :
       {"step", "tokens", "lr", "loss", "kl", "ce", "grad_norm", "tokens_per_s", "seconds", "peak_rss"}) {
    CAPTURE(key);
    CHECK(line.contains(key));
  }
  CHECK(line.size() == 10);
  CHECK(line["step"] == 2);
  CHECK(line["tokens"] == 2 * 4 * TinyRun::kSequence);
  CHECK(line["lr"].get<double>() == doctest::Approx(0.5e-2));
  CHECK(line["loss"].get<double>() ==
        doctest::Approx(0.25 * line["kl"].get<double>() + 0.5 * line["ce"].get<double>()));
}

TEST_CASE("the first step equals autograd over the whole batch, whatever the micro-batch") {
  const reference::TemporaryFolder folder;
  const auto first_line = [&](std::int64_t micro_batch) {
    TinyRun run(folder.path() / std::to_string(micro_batch), 1);
    run.job.plan.micro_batch = micro_batch;
    run.job.plan.head_chunk = 7;
    run_to_the_end(run);
    return reference::lines_of(run.job.metrics).at(0);
  };
  const nlohmann::json one = first_line(1), four = first_line(4);

  TinyRun run(folder.path() / "autograd", 1);
  const auto batch = run.data->batch(0, 4);
  run.student.set_requires_grad(true);
  const auto rows = [&](espalier::WeightSource& model) {
    return espalier::logits(model.outer(), espalier::hidden_states(model, batch.tokens)).flatten(0, 1);
  };
  const at::Tensor student = rows(run.student), teacher = rows(run.teacher).detach(), labels = batch.labels.flatten();
  const at::Tensor kl = run.job.losses[0].loss->forward({student, teacher, labels}).mean();
  const at::Tensor ce = run.job.losses[1].loss->forward({student, teacher, labels}).mean();
  (0.5 * kl + 0.5 * ce).backward();
  double squares = 0.0;
  for (const at::Tensor& tensor : run.student.tensors()) squares += tensor.grad().pow(2).sum().item<double>();
  for (const nlohmann::json& line : {one, four}) {
    CHECK(line["kl"].get<double>() == doctest::Approx(kl.item<double>()).epsilon(1e-5));
    CHECK(line["ce"].get<double>() == doctest::Approx(ce.item<double>()).epsilon(1e-5));
    CHECK(line["grad_norm"].get<double>() == doctest::Approx(std::sqrt(squares)).epsilon(1e-4));
  }
}

TEST_CASE("the same job twice gives the same bytes") {
  const reference::TemporaryFolder folder;
  for (const char* name : {"a", "b"}) {
    TinyRun run(folder.path() / name, 4);
    at::set_num_threads(2);
    run_to_the_end(run);
  }
  const std::string outcome = reference::outcome(folder.path() / "a", 4);
  CHECK(outcome.size() > 10000);
  CHECK(outcome == reference::outcome(folder.path() / "b", 4));
}

TEST_CASE("a run that crashed between checkpoints ends with the bytes of one that did not") {
  const reference::TemporaryFolder folder;
  {
    TinyRun run(folder.path() / "whole");
    run_to_the_end(run);
  }
  const fs::path broken = folder.path() / "broken";
  for (const std::int64_t at : {1, 4, 7, 8, 11}) {
    TinyRun run(broken);
    run.job.plan.save_every = 3;
    run.job.on_step = [at](std::int64_t step) {
      if (step == at) throw Crash();
    };
    CHECK_THROWS_AS(run_to_the_end(run), Crash);
  }
  TinyRun run(broken);
  run.job.plan.save_every = 3;
  const TrainResult result = run_to_the_end(run);
  CHECK(result.steps == 12);
  CHECK(result.earlier_seconds > 0.0);
  CHECK(result.seconds > result.earlier_seconds);
  CHECK(reference::outcome(broken, 12) == reference::outcome(folder.path() / "whole", 12));
}

TEST_CASE("a finished run only brings back the student") {
  const reference::TemporaryFolder folder;
  TinyRun first(folder.path());
  const TrainResult once = run_to_the_end(first);
  const std::string metrics = reference::bytes_of(first.job.metrics);
  TinyRun second(folder.path());
  fs::remove(folder.path() / "checkpoints" / "latest");  // as if killed before it was written
  const TrainResult again = run_to_the_end(second);
  CHECK(again.steps == once.steps);
  CHECK(again.tokens == once.tokens);
  CHECK(reference::bytes_of(second.job.metrics) == metrics);
  CHECK(reference::bytes_of(folder.path() / "checkpoints" / "latest") == "iter_0000012\n");
  for (std::size_t i = 0; i < first.student.tensors().size(); ++i) {
    CHECK(at::equal(first.student.tensors()[i], second.student.tensors()[i]));
  }
}

TEST_CASE("a run of no steps leaves its start as the last checkpoint") {
  const reference::TemporaryFolder folder;
  TinyRun run(folder.path(), 0);
  CHECK(run_to_the_end(run).steps == 0);
  CHECK(reference::bytes_of(folder.path() / "checkpoints" / "latest") == "iter_0000000\n");
}

TEST_CASE("a bfloat16 student learns through float32 weights, which the checkpoint holds") {
  const reference::TemporaryFolder folder;
  TinyRun run(folder.path(), 40);
  espalier::Model narrow(reference::tiny_spec(16, true), 2, {at::kBFloat16, at::kCPU});
  espalier::Model teacher(reference::tiny_spec(24, true), 1, {at::kBFloat16, at::kCPU});
  run.job.student = &narrow;
  run.job.teacher = &teacher;
  learn_labels(run.job);
  run.job.plan.save_every = 20;
  run_to_the_end(run);
  const auto lines = reference::lines_of(run.job.metrics);
  CHECK(lines.back().at("ce").get<double>() < 0.8 * lines.front().at("ce").get<double>());
  const espalier::SafetensorsFile file(folder.path() / "checkpoints" / "iter_0000040" / "model.safetensors");
  for (const espalier::TensorInfo& info : file.tensors()) CHECK((info.dtype == at::kFloat));
  const at::Tensor master = file.tensor(file.tensors().front());
  CHECK(at::equal(master.to(at::kBFloat16), narrow.tensors().front()));
  CHECK_FALSE(at::equal(master, narrow.tensors().front().to(at::kFloat)));

  fs::remove_all(folder.path() / "checkpoints" / "iter_0000040");
  TinyRun again(folder.path(), 40);
  espalier::Model resumed(reference::tiny_spec(16, true), 9, {at::kBFloat16, at::kCPU});
  again.job.student = &resumed;
  again.job.teacher = &teacher;
  learn_labels(again.job);
  run_to_the_end(again);
  CHECK(at::equal(resumed.tensors().front(), narrow.tensors().front()));
}

TEST_CASE("evaluation comes every few steps and at the end, and its line is always logged") {
  const reference::TemporaryFolder folder;
  TinyRun run(folder.path(), 7);
  run.job.plan.eval_every = 3;
  run.job.plan.log_every = 100;
  run.job.evaluate = [](espalier::Model& model) {
    CHECK_FALSE(at::GradMode::is_enabled());
    return model.tensors().size() * 1.0;
  };
  std::vector<std::int64_t> seen;
  run.job.on_metrics = [&](const nlohmann::ordered_json& line) { seen.push_back(line.at("step")); };
  run_to_the_end(run);
  CHECK(seen == std::vector<std::int64_t>{3, 6, 7});
  for (const auto& line : reference::lines_of(run.job.metrics)) CHECK(line.at("eval_nll").get<double>() > 0.0);
}

TEST_CASE("losses of one name are told apart in the log") {
  const reference::TemporaryFolder folder;
  TinyRun run(folder.path(), 1);
  run.job.losses.push_back({"kl", 0.1, std::make_unique<reference::Kl>(1.0)});
  run_to_the_end(run);
  const auto lines = reference::lines_of(run.job.metrics);
  CHECK(lines.at(0).contains("kl"));
  CHECK(lines.at(0).contains("kl_2"));
}

TEST_CASE("a loss that is not a number stops the run before it spoils the weights, and names the last checkpoint") {
  struct Failing : reference::CrossEntropy {
    explicit Failing(int good) : CrossEntropy(false), left(good) {}
    at::Tensor forward(const espalier::LogitRows& rows) const override {
      const at::Tensor loss = CrossEntropy::forward(rows);
      return left-- > 0 ? loss : loss * std::numeric_limits<float>::quiet_NaN();
    }
    mutable int left;
  };
  const reference::TemporaryFolder folder;
  TinyRun run(folder.path());
  run.job.plan.micro_batch = 4;
  run.job.plan.save_every = 2;
  SUBCASE("after a checkpoint") {
    run.job.losses[1].loss = std::make_unique<Failing>(3);
    CHECK(
        error_of(run.job) ==
        fmt::format("distill: step 4: loss 'ce' is not finite; got nan; expected a number (the last checkpoint is {})",
                    (folder.path() / "checkpoints" / "iter_0000002").string()));
  }
  SUBCASE("at the first step") {
    run.job.losses[1].loss = std::make_unique<Failing>(0);
    CHECK(error_of(run.job) ==
          "distill: step 1: loss 'ce' is not finite; got nan; expected a number (there is no checkpoint yet)");
  }
  for (const at::Tensor& tensor : run.student.tensors()) CHECK(at::isfinite(tensor).all().item<bool>());
}

TEST_CASE("jobs that cannot work are refused before the first step") {
  const reference::TemporaryFolder folder;
  TinyRun run(folder.path());
  SUBCASE("a batch that does not divide") {
    run.job.plan.micro_batch = 3;
    CHECK_THROWS_WITH_AS(train(run.job),
                         "distill: global_batch is not a multiple of micro_batch; got 4 and 3; expected whole "
                         "micro-batches",
                         espalier::RecipeError);
  }
  SUBCASE("a token outside the vocabulary") {
    espalier::ModelSpec spec = reference::tiny_spec(16, true);
    spec.vocab = 50;
    espalier::Model small(spec, 1, {at::kFloat, at::kCPU});
    run.job.student = &small;
    CHECK(error_of(run.job) ==
          "distill: the training data has a token outside the model's vocabulary; got token 63; expected 0 to 49");
  }
  SUBCASE("a rate that is no rate") {
    run.job.scheduler = std::make_unique<reference::LinearDecay>(-1.0);
    CHECK(error_of(run.job) ==
          "distill: step 1: the scheduler's learning rate cannot be used; got -1; expected a finite number, 0 or more");
  }
}
