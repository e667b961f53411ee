// SPDX-License-Identifier: Apache-2.0
// Tokens per second of whole training steps of a small Llama; train_step_eager.py is the same in eager PyTorch.
//
//   train_step_bench LOSS STEPS     LOSS: cross_entropy (the large model learns) or kl (it teaches the small one)
//
// Prints one JSON object: seconds of each step but the first, tokens of a step, peak memory.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/memory.hpp"
#include "core/base/progress.hpp"
#include "core/base/random.hpp"
#include "core/train/trainer.hpp"
#include "tests/bench/losses_of_plugin.hpp"
#include "tests/core/train/tiny_run.hpp"

namespace {

using Clock = std::chrono::steady_clock;
namespace fs = espalier::fs;

constexpr std::int64_t kBatch = 4, kSequence = 256;

espalier::ModelSpec llama(std::int64_t hidden, std::int64_t ffn) {
  espalier::ModelSpec spec;
  spec.family = "llama";
  spec.hidden = hidden;
  spec.vocab = 257;
  spec.max_positions = kSequence;
  spec.tied = true;
  espalier::LayerSpec layer;
  layer.kv_groups = 2;
  layer.heads_per_group = 2;
  layer.head_dim = 32;
  layer.ffn = ffn;
  spec.layers.assign(6, layer);
  return spec;
}

fs::path write_bytes(const fs::path& folder) {
  std::ofstream file(folder / "tokens.bin", std::ios::binary);
  for (std::uint64_t i = 0; i < 200000; ++i) file.put(static_cast<char>(espalier::mix(1, i)));
  return folder / "tokens.bin";
}

class Constant final : public espalier::Scheduler {
 public:
  double at(const espalier::Progress&) const override { return 1e-3; }
};

}  // namespace

int main(int count, char** values) {
  if (count != 3) {
    std::fputs("train_step_bench cross_entropy|kl STEPS\n", stderr);
    return 2;
  }
  const std::string loss = values[1];
  espalier::ProgressBar::disable();
  const espalier::reference::TemporaryFolder folder;
  const espalier::Compute compute{at::kFloat, at::kCPU};
  espalier::Model large(llama(128, 384), 1, compute), small(llama(96, 192), 2, compute);
  for (espalier::Model* model : {&large, &small}) model->tensors()[0].mul_(0.1);  // embedding: no token is certain
  const espalier::TrainingStream stream(
      {{"bytes", std::nullopt, espalier::TokenFile(write_bytes(folder.path()), "uint8")}}, kSequence, 3);
  espalier::Registry registry;
  espalier::TrainJob job;
  job.losses = espalier::bench::make_losses(registry, {loss});
  const bool distill = job.losses[0].loss->needs_teacher();
  job.student = distill ? &small : &large;
  job.teacher = distill ? &large : nullptr;
  job.scheduler = std::make_unique<Constant>();
  job.data = &stream;
  job.plan.steps = std::strtoll(values[2], nullptr, 10);
  job.plan.global_batch = job.plan.micro_batch = kBatch;
  job.plan.seq_length = kSequence;
  job.plan.label = "bench";
  job.checkpoints = folder.path() / "checkpoints";
  job.metrics = folder.path() / "metrics.jsonl";

  nlohmann::json result = {{"tokens", kBatch * kSequence}};
  Clock::time_point last = Clock::now();
  job.on_step = [&](std::int64_t step) {
    const Clock::time_point now = Clock::now();
    if (step > 1) result["seconds"].push_back(std::chrono::duration<double>(now - last).count());
    last = now;
  };
  job.on_metrics = [&](const nlohmann::ordered_json& line) { result["loss"] = line.at("loss"); };
  espalier::train(job);
  result["save_seconds"] = std::chrono::duration<double>(Clock::now() - last).count();
  result["peak_bytes"] = espalier::peak_resident_bytes();
  std::printf("%s\n", result.dump().c_str());
  return 0;
}
