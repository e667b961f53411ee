// SPDX-License-Identifier: Apache-2.0
// Evidence of choice tasks, against models that are cut by hand.
#include <nlohmann/json.hpp>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/eval/tasks.hpp"
#include "core/importance/score_file.hpp"
#include "plugins/importance/task_drop.hpp"
#include "tests/core/importance/tiny.hpp"

using espalier::ChoiceTask;
using espalier::Model;
using espalier::ModelSpec;
using espalier::Role;
using espalier::ScoreJob;
using espalier::ScoreOptions;
using espalier::Scores;
using espalier::Scratch;
using espalier::plugins::TaskDrop;
using espalier::testing::job;
using espalier::testing::Streamed;

namespace {

ModelSpec byte_spec(std::size_t layers) {
  ModelSpec spec = espalier::testing::tiny_spec();
  spec.vocab = 257;
  spec.layers.assign(layers, spec.layers.front());
  return spec;
}

ScoreOptions task_options(std::int64_t tile_bytes = std::int64_t{1} << 30) {
  ScoreOptions options;
  options.seed = 11, options.tile_bytes = tile_bytes;
  return options;
}

// task_drop on an axis of layers; `run` > 1: of one run.
ScoreJob drop_job(const espalier::fs::path& file, std::int64_t shots = 0, bool length_normalised = false,
                  std::int64_t run = 1) {
  ScoreJob made = job<TaskDrop>("layers", "task_drop");
  made.make_metric = [=] {
    return std::make_unique<TaskDrop>(espalier::plugins::TaskDropOptions{file.string(), shots, length_normalised});
  };
  made.options = fmt::format("{} {} {}", file.string(), shots, length_normalised);
  made.axis.one_run = run > 1;
  made.run = run;
  return made;
}

// A model of some layers of another.
class Cut final : public espalier::WeightSource {
 public:
  Cut(Model& model, std::vector<std::int64_t> left) : model_(model), left_(std::move(left)), spec_(model.spec()) {
    spec_.layers.resize(left_.size());
  }
  const ModelSpec& spec() const override { return spec_; }
  espalier::Compute compute() const override { return model_.compute(); }
  espalier::Weights outer() override { return model_.outer(); }
  espalier::Weights layer(std::int64_t layer) override { return model_.layer(left_[static_cast<std::size_t>(layer)]); }

 private:
  Model& model_;
  std::vector<std::int64_t> left_;
  ModelSpec spec_;
};

std::vector<double> list_of(const Scores& scores) {
  const at::Tensor wide = scores.per_layer.at(0).to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

// Items of random letters whose choices differ in length.
espalier::fs::path write_items(const Scratch& scratch, std::uint64_t count) {
  const auto word = [](std::uint64_t seed, std::uint64_t length) {
    std::string text;
    for (std::uint64_t i = 0; i < length; ++i) text += static_cast<char>('a' + espalier::mix(seed, i) % 26);
    return text;
  };
  std::string text;
  for (std::uint64_t i = 0; i < count; ++i) {
    const nlohmann::json item = {
        {"prompt", word(3 * i, 1 + i % 9)},
        {"choices", {word(5 * i + 1, 1 + i % 4), word(5 * i + 2, 1 + i % 3), word(5 * i + 3, 3)}},
        {"answer", espalier::mix(9, i) % 3}};
    text += item.dump() + "\n";
  }
  espalier::write_text(scratch / "items.jsonl", text);
  return scratch / "items.jsonl";
}

// After a "q" nothing is known, until the MLP of layer `planted` says "y". All other blocks add nothing.
Model planted_model(std::size_t layers, std::int64_t planted) {
  Model model(byte_spec(layers), 5, {at::kFloat, at::kCPU});
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const espalier::Parameter& parameter = model.parameters()[i];
    at::Tensor& tensor = model.tensors()[i];
    const bool here = parameter.layer == planted;
    if (parameter.role == Role::attn_norm || parameter.role == Role::mlp_norm || parameter.role == Role::final_norm)
      continue;
    tensor.zero_();
    if (parameter.role == Role::embed) tensor[static_cast<std::int64_t>('q')][0] = 1.0f;
    if (parameter.role == Role::head) tensor[static_cast<std::int64_t>('y')][1] = 1.0f;
    if (here && (parameter.role == Role::gate || parameter.role == Role::up)) tensor[0][0] = 1.0f;
    if (here && parameter.role == Role::down) tensor[1][0] = 1.0f;
  }
  return model;
}

espalier::fs::path write_planted(const Scratch& scratch) {
  espalier::write_text(scratch / "planted.jsonl",
                       "{\"prompt\": \"q\", \"choices\": [\"n\", \"y\"], \"answer\": 1}\n"
                       "{\"prompt\": \"qq\", \"choices\": [\"n\", \"y\"], \"answer\": 1}\n");
  return scratch / "planted.jsonl";
}

}  // namespace

TEST_CASE("task drop is the accuracy that is lost by a model cut by hand, layer by layer and run by run") {
  const Scratch scratch;
  const espalier::fs::path file = write_items(scratch, 24);
  Model model(byte_spec(4), 5, {at::kFloat, at::kCPU});
  Streamed streamed(model);
  for (const auto& [shots, length_normalised] : {std::pair(0, false), std::pair(2, true)}) {
    const auto accuracy = [&](const std::vector<std::int64_t>& left) {
      Cut cut(model, left);
      const ChoiceTask task({"t", file, shots, 11}, espalier::open_tokenizer("bytes"), cut.spec());
      const espalier::TaskResult result = evaluate_task(cut, task);
      return length_normalised ? result.accuracy_norm() : result.accuracy();
    };
    const double whole = accuracy({0, 1, 2, 3});
    for (const std::int64_t run : {1, 2}) {
      const ScoreJob asked = drop_job(file, shots, length_normalised, run);
      const std::vector<double> resident = list_of(score(model, {asked}, {}, task_options())[0]);
      REQUIRE(resident.size() == static_cast<std::size_t>(5 - run));
      for (std::int64_t first = 0; first + run <= 4; ++first) {
        std::vector<std::int64_t> left;
        for (std::int64_t layer = 0; layer < 4; ++layer) {
          if (layer < first || layer >= first + run) left.push_back(layer);
        }
        CHECK(resident[static_cast<std::size_t>(first)] == doctest::Approx(whole - accuracy(left)).epsilon(1e-6));
      }
      CHECK(list_of(score(streamed, {asked}, {}, task_options())[0]) == resident);
    }
  }
}

TEST_CASE("a task that one layer alone solves is lost with that layer, and with every run that has it") {
  const Scratch scratch;
  const espalier::fs::path file = write_planted(scratch);
  Model model = planted_model(5, 3);
  CHECK(list_of(score(model, {drop_job(file)}, {}, task_options())[0]) == std::vector<double>{0, 0, 0, 1, 0});
  CHECK(list_of(score(model, {drop_job(file, 0, false, 2)}, {}, task_options())[0]) == std::vector<double>{0, 0, 1, 1});
  CHECK(list_of(score(model, {drop_job(file, 0, false, 4)}, {}, task_options())[0]) == std::vector<double>{1, 1});
}

TEST_CASE("tasks are tried in one walk for all jobs of a file, in tiles where weights are streamed") {
  const Scratch scratch;
  const espalier::fs::path file = write_items(scratch, 150);
  Model model(byte_spec(3), 5, {at::kFloat, at::kCPU});
  Streamed streamed(model);
  const std::vector<Scores> all =
      score(streamed, {drop_job(file), drop_job(file, 0, true), drop_job(file, 0, false, 2)}, {}, task_options());
  CHECK(streamed.fetched == 3);
  CHECK(list_of(all[0]).size() == 3);
  CHECK(list_of(all[2]).size() == 2);
  const std::vector<Scores> tiled = score(streamed, {drop_job(file)}, {}, task_options(1));
  CHECK(streamed.fetched > 6);
  CHECK(list_of(tiled[0]) == list_of(all[0]));
}

TEST_CASE("a task needs no calibration data, and says so in its metadata; a metric without a file is refused") {
  const Scratch scratch;
  const ScoreJob asked = drop_job(write_planted(scratch));
  CHECK_FALSE(needs_data(asked));
  CHECK(score_metadata(asked, task_options()).count("samples") == 0);
  CHECK_THROWS_WITH_AS(
      needs_of(drop_job("")),
      "metric 'task_drop' (plugin importance 9.9) names no task; got ''; expected a file of choice tasks, .jsonl",
      espalier::RecipeError);
}
