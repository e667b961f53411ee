// SPDX-License-Identifier: Apache-2.0
// A training run of a few milliseconds a step, in a folder of its own.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include "core/base/random.hpp"
#include "core/train/trainer.hpp"
#include "tests/core/train/reference_losses.hpp"
#include "tests/support/temporary_folder.hpp"

namespace espalier::reference {

using test::TemporaryFolder;

inline ModelSpec tiny_spec(std::int64_t hidden, bool tied) {
  ModelSpec spec;
  spec.family = "llama";
  spec.hidden = hidden;
  spec.vocab = 64;
  spec.max_positions = 64;
  spec.tied = tied;
  LayerSpec layer;
  layer.kv_groups = 1;
  layer.heads_per_group = 2;
  layer.head_dim = 8;
  layer.ffn = 2 * hidden;
  spec.layers = {layer, layer};
  return spec;
}

// Tokens with something to learn: each is a fixed function of the one before it, three times out of four.
inline fs::path write_tokens(const fs::path& folder, std::int64_t count) {
  std::ofstream file(folder / "tokens.bin", std::ios::binary);
  std::uint64_t token = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t draw = mix(7, static_cast<std::uint64_t>(i));
    token = draw % 4 == 0 ? mix(draw) % 64 : (5 * token + 3) % 64;
    file.put(static_cast<char>(token));
  }
  return folder / "tokens.bin";
}

class LinearDecay : public Scheduler {
 public:
  explicit LinearDecay(double peak) : peak_(peak) {}
  double at(const Progress& p) const override {
    return peak_ * (1.0 - static_cast<double>(p.step) / static_cast<double>(p.steps));
  }

 private:
  double peak_;
};

// Everything that one run needs; made anew for each start, as the program does.
struct TinyRun {
  static constexpr std::int64_t kSequence = 16;

  explicit TinyRun(const fs::path& folder, std::int64_t steps = 12, bool tied = true)
      : teacher(tiny_spec(24, tied), 1, {at::kFloat, at::kCPU}),
        student(tiny_spec(16, tied), 2, {at::kFloat, at::kCPU}) {
    at::set_num_threads(1);  // threads that wait for tiny matrices only disturb each other
    fs::create_directories(folder);
    const fs::path tokens = write_tokens(folder, 2000);
    data = std::make_unique<TrainingStream>(
        std::vector<TokenSource>{{"tokens", std::nullopt, TokenFile(tokens, "uint8")}}, kSequence, 5);
    job.student = &student;
    job.teacher = &teacher;
    job.losses.push_back({"kl", 0.5, std::make_unique<Kl>(2.0)});
    job.losses.push_back({"ce", 0.5, std::make_unique<CrossEntropy>()});
    job.scheduler = std::make_unique<LinearDecay>(1e-2);
    job.plan.steps = steps;
    job.plan.global_batch = 4;
    job.plan.micro_batch = 2;
    job.plan.seq_length = kSequence;
    job.plan.label = "distill";
    job.data = data.get();
    job.checkpoints = folder / "checkpoints";
    job.metrics = folder / "metrics.jsonl";
  }

  Model teacher, student;
  std::unique_ptr<TrainingStream> data;
  TrainJob job;
};

inline std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::vector<nlohmann::json> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

// metrics.jsonl without what depends on the clock and the process.
inline std::string timeless(const fs::path& path) {
  std::string text;
  for (nlohmann::json& line : lines_of(path)) {
    for (const char* key : {"tokens_per_s", "seconds", "peak_rss"}) line.erase(key);
    text += line.dump() + "\n";
  }
  return text;
}

// The final weights, moments and metrics, as one string.
inline std::string outcome(const fs::path& folder, std::int64_t steps) {
  const fs::path last = folder / "checkpoints" / fmt::format("iter_{:07}", steps);
  return bytes_of(last / "model.safetensors") + bytes_of(last / "optimizer.safetensors") +
         timeless(folder / "metrics.jsonl");
}

}  // namespace espalier::reference
