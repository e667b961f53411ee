// SPDX-License-Identifier: Apache-2.0
#include "core/train/train_checkpoint.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/core/train/tiny_run.hpp"

namespace {

using espalier::AdamW;
using espalier::TrainCheckpoints;
using espalier::TrainState;
namespace fs = espalier::fs;
namespace reference = espalier::reference;

const std::vector<std::string> kNames = {"a.weight", "b.weight"};

struct Trained {
  explicit Trained(double value, at::ScalarType weights = at::kFloat, at::ScalarType moments = at::kFloat)
      : a(at::full({3, 4}, value, weights).requires_grad_()),
        b(at::full({5}, value, weights).requires_grad_()),
        optimizer({a, b}, {.moments = moments}) {}
  void step() {
    optimizer.gradient(0).fill_(0.3);
    optimizer.gradient(1).copy_(at::arange(5, at::kFloat));
    optimizer.step(0.01);
  }
  at::Tensor a, b;
  AdamW optimizer;
};

std::vector<std::string> folders(const fs::path& path) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// Three checkpoints, after steps 1, 2 and 3.
void save_three(const fs::path& folder, std::int64_t keep_last) {
  Trained run(1.0);
  TrainCheckpoints checkpoints(folder, kNames, keep_last);
  for (std::int64_t step = 1; step <= 3; ++step) {
    run.step();
    checkpoints.save({step, 10 * step, 0.5}, run.optimizer);
  }
}

}  // namespace

TEST_CASE("a checkpoint brings back weights, moments and counters bit for bit") {
  const reference::TemporaryFolder folder;
  Trained run(1.0), again(0.0);
  TrainCheckpoints checkpoints(folder.path(), kNames, 2);
  CHECK_FALSE(checkpoints.load(run.optimizer).has_value());
  CHECK(checkpoints.last().empty());
  run.step();
  checkpoints.save({1, 640, 2.25}, run.optimizer);
  TrainCheckpoints reader(folder.path(), kNames, 2);
  const auto state = reader.load(again.optimizer);
  REQUIRE(state.has_value());
  CHECK(state->step == 1);
  CHECK(state->tokens == 640);
  CHECK(state->seconds == 2.25);
  CHECK(reader.last() == folder.path() / "iter_0000001");
  run.step();
  again.step();
  CHECK(at::equal(run.a, again.a));
  CHECK(at::equal(run.b, again.b));
  CHECK(at::equal(run.optimizer.second_moments()[1], again.optimizer.second_moments()[1]));
}

TEST_CASE("bfloat16 weights come back with the bits behind them, and moments in the dtype that they were kept in") {
  for (const at::ScalarType weights : {at::kFloat, at::kBFloat16}) {
    for (const at::ScalarType moments : {at::kFloat, at::kBFloat16}) {
      const reference::TemporaryFolder folder;
      Trained run(1.0, weights, moments), again(0.0, weights, moments);
      TrainCheckpoints checkpoints(folder.path(), kNames, 2);
      for (int i = 0; i < 3; ++i) run.step();
      checkpoints.save({3, 30, 0.5}, run.optimizer);
      REQUIRE(TrainCheckpoints(folder.path(), kNames, 2).load(again.optimizer).has_value());
      CHECK((again.optimizer.first_moments()[0].scalar_type() == moments));
      for (int i = 0; i < 3; ++i) run.step(), again.step();
      CHECK(at::equal(run.optimizer.weight(0), again.optimizer.weight(0)));
      CHECK(at::equal(run.b, again.b));
      CHECK(at::equal(run.optimizer.second_moments()[1], again.optimizer.second_moments()[1]));
      CHECK(run.optimizer.weight(0).sub(run.a.detach().to(at::kFloat)).abs().max().item<float>() <
            (weights == at::kFloat ? 1e-9F : 4e-3F));
    }
  }
}

TEST_CASE("only the last checkpoints stay, and `latest` names the newest") {
  const reference::TemporaryFolder folder;
  save_three(folder.path(), 2);
  CHECK(folders(folder.path()) == std::vector<std::string>{"iter_0000002", "iter_0000003", "latest"});
  CHECK(reference::bytes_of(folder.path() / "latest") == "iter_0000003\n");
  CHECK(folders(folder.path() / "iter_0000003") ==
        std::vector<std::string>{"model.safetensors", "optimizer.safetensors", "state.json", "timings.json"});
}

TEST_CASE("a damaged newest checkpoint is passed over, and gives way to the next one saved") {
  const reference::TemporaryFolder folder;
  const fs::path newest = folder.path() / "iter_0000003";
  const auto resumed_at = [&] {
    Trained run(0.0);
    TrainCheckpoints checkpoints(folder.path(), kNames, 3);
    const auto state = checkpoints.load(run.optimizer);
    return state ? state->step : 0;
  };
  SUBCASE("one flipped bit of the weights") {
    save_three(folder.path(), 3);
    std::string bytes = reference::bytes_of(newest / "model.safetensors");
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    espalier::write_text(newest / "model.safetensors", bytes);
  }
  SUBCASE("cut short") {
    save_three(folder.path(), 3);
    fs::resize_file(newest / "optimizer.safetensors", 100);
  }
  SUBCASE("a missing file") {
    save_three(folder.path(), 3);
    fs::remove(newest / "optimizer.safetensors");
  }
  SUBCASE("no state") {
    save_three(folder.path(), 3);
    fs::remove(newest / "state.json");
  }
  SUBCASE("a state that is no state") {
    save_three(folder.path(), 3);
    espalier::write_text(newest / "state.json", "{\"step\": \"three\"}");
  }
  CHECK(resumed_at() == 2);
  Trained run(0.0);
  TrainCheckpoints checkpoints(folder.path(), kNames, 1);
  REQUIRE(checkpoints.load(run.optimizer).has_value());
  run.step();
  checkpoints.save({3, 30, 0.5}, run.optimizer);
  CHECK(folders(folder.path()) == std::vector<std::string>{"iter_0000003", "latest"});
  CHECK(resumed_at() == 3);
}

TEST_CASE("when no checkpoint is whole, training starts anew") {
  const reference::TemporaryFolder folder;
  save_three(folder.path(), 3);
  for (const char* name : {"iter_0000001", "iter_0000002", "iter_0000003"}) {
    fs::remove(folder.path() / name / "state.json");
  }
  Trained run(0.0);
  TrainCheckpoints checkpoints(folder.path(), kNames, 3);
  CHECK_FALSE(checkpoints.load(run.optimizer).has_value());
  CHECK(run.a.detach().abs().max().item<float>() == 0.0F);
}

TEST_CASE("what a killed run left half-written is removed at the next start") {
  const reference::TemporaryFolder folder;
  save_three(folder.path(), 1);
  {
    espalier::PendingFolder pending(folder.path() / "iter_0000004");
    espalier::write_text(pending.path() / "model.safetensors", "half");
    fs::copy(pending.path(), folder.path() / ".iter_0000005.partial");
  }
  REQUIRE(fs::exists(folder.path() / ".iter_0000005.partial"));
  Trained run(0.0);
  TrainCheckpoints checkpoints(folder.path(), kNames, 1);
  REQUIRE(checkpoints.load(run.optimizer).has_value());
  CHECK(folders(folder.path()) == std::vector<std::string>{"iter_0000003", "latest"});
}

TEST_CASE(
    "a run that was killed before it removed old checkpoints removes them at the next start, though it has ended") {
  const reference::TemporaryFolder folder;
  save_three(folder.path(), 3);
  fs::remove(folder.path() / "latest");
  Trained run(0.0);
  TrainCheckpoints checkpoints(folder.path(), kNames, 2, /*save_every=*/2, /*last_step=*/3);
  REQUIRE(checkpoints.load(run.optimizer)->step == 3);
  CHECK(folders(folder.path()) == std::vector<std::string>{"iter_0000002", "iter_0000003", "latest"});
}

TEST_CASE("folders that are no checkpoints are left alone") {
  const reference::TemporaryFolder folder;
  for (const char* name : {"iter_", "iter_12x", "notes", "iter_99999999999999999999999"}) {
    fs::create_directory(folder.path() / name);
  }
  save_three(folder.path(), 1);
  CHECK(folders(folder.path()) == std::vector<std::string>{"iter_", "iter_0000003", "iter_12x",
                                                           "iter_99999999999999999999999", "latest", "notes"});
}

TEST_CASE("a whole checkpoint of another model is refused") {
  const reference::TemporaryFolder folder;
  save_three(folder.path(), 1);
  at::Tensor a = at::zeros({3, 5}).requires_grad_(), b = at::zeros({5}).requires_grad_();
  AdamW other({a, b}, {});
  TrainCheckpoints checkpoints(folder.path(), kNames, 1);
  CHECK_THROWS_WITH_AS(
      checkpoints.load(other),
      fmt::format("{}: the checkpoint belongs to another model; got (3, 4) for 'a.weight'; expected float32 (3, 5); "
                  "remove the checkpoints to start anew",
                  (folder.path() / "iter_0000003" / "model.safetensors").string())
          .c_str(),
      espalier::Error);
}
