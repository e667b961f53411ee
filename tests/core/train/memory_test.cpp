// SPDX-License-Identifier: Apache-2.0
#include <fstream>

#include <doctest/doctest.h>

#include "core/eval/peak_memory.hpp"
#include "core/train/memory.hpp"
#include "tests/core/train/tiny_run.hpp"

using namespace espalier;
using namespace espalier::reference;

namespace {

struct Case {
  const char* family;
  std::int64_t hidden, ffn, heads, layers, vocab, micro_batch, seq_length;
};

ModelSpec spec_of(const Case& c, std::int64_t times) {
  return spec_from_json({{"family", c.family},
                         {"layers", c.layers},
                         {"hidden", c.hidden * times},
                         {"heads", c.heads},
                         {"kv_groups", c.heads / 2},
                         {"head_dim", 16},
                         {"ffn", c.ffn * times},
                         {"vocab", c.vocab}},
                        "case");
}

// Bytes of tensors at the highest moment of three steps, by the allocator's own count.
std::int64_t measured(const Case& c, Recompute recompute, bool with_teacher, std::int64_t chunk) {
  const test::TemporaryFolder folder;
  at::set_num_threads(1);
  const PeakMemory counter(at::kCPU);
  Model student(spec_of(c, 1), 1, {at::kFloat, at::kCPU});
  std::optional<Model> teacher;
  if (with_teacher) teacher.emplace(spec_of(c, 2), 2, Compute{at::kFloat, at::kCPU});
  const TrainingStream data({{"tokens", std::nullopt, TokenFile(write_tokens(folder.path(), 20000), "uint8")}},
                            c.seq_length, 5);
  TrainJob job;
  job.student = &student;
  job.teacher = teacher ? &*teacher : nullptr;
  if (with_teacher) {
    job.losses.push_back({"kl", 1.0, std::make_unique<Kl>(1.0)});
  } else {
    job.losses.push_back({"ce", 1.0, std::make_unique<CrossEntropy>()});
  }
  job.scheduler = std::make_unique<LinearDecay>(1e-3);
  job.data = &data;
  job.plan.steps = 3;
  job.plan.global_batch = 2 * c.micro_batch;
  job.plan.micro_batch = c.micro_batch;
  job.plan.seq_length = c.seq_length;
  job.plan.head_chunk = chunk;
  job.plan.recompute = recompute;
  job.plan.label = "train";
  job.checkpoints = folder.path() / "checkpoints";
  job.metrics = folder.path() / "metrics.jsonl";
  train(job);
  return counter.peak_bytes();
}

TrainShape shape_of(const Case& c) {
  TrainShape shape;
  shape.student = spec_of(c, 1), shape.teacher = spec_of(c, 2);
  shape.micro_batch = c.micro_batch, shape.sequences = 2 * c.micro_batch, shape.seq_length = c.seq_length;
  shape.head_chunk = 128;
  return shape;
}

}  // namespace

TEST_CASE("the memory of a training step is what was predicted, within 5 %") {
  for (const Case& c : {Case{"llama", 64, 160, 4, 4, 300, 4, 256}, Case{"nemotron", 48, 256, 8, 3, 100, 8, 128},
                        Case{"qwen3", 96, 64, 4, 6, 64, 2, 512}}) {
    for (const Recompute recompute : {Recompute::none, Recompute::cheap, Recompute::layers}) {
      for (const bool with_teacher : {true, false}) {
        CAPTURE(c.family);
        CAPTURE(static_cast<int>(recompute));
        CAPTURE(with_teacher);
        TrainShape shape = shape_of(c);
        shape.recompute = recompute;
        if (!with_teacher) shape.teacher.reset();
        const TrainMemory memory = train_memory(shape);
        CAPTURE(to_text(memory));
        const double ratio =
            static_cast<double>(memory.total()) / static_cast<double>(measured(c, recompute, with_teacher, 128));
        CHECK(ratio > 0.95);
        CHECK(ratio < 1.05);
      }
    }
  }
}

TEST_CASE("the micro-batch that fits divides the global batch") {
  const Case c{"llama", 64, 160, 4, 4, 300, 1, 256};
  TrainShape shape = shape_of(c);
  shape.micro_batch = 4;
  const std::int64_t four = train_memory(shape).total();
  CHECK(fitting_micro_batch(shape, 12, four) == 4);
  CHECK(fitting_micro_batch(shape, 12, four - 1) == 3);
  CHECK(fitting_micro_batch(shape, 10, four) == 2);
  shape.micro_batch = 1;
  CHECK(fitting_micro_batch(shape, 12, train_memory(shape).total() - 1) == 0);
}

TEST_CASE("ranks share the optimizer's state") {
  const Case c{"llama", 64, 160, 4, 4, 300, 1, 256};
  TrainShape shape = shape_of(c);
  shape.dtype_bytes = 2;
  const std::int64_t parameters = train_memory(shape).student / 2;
  const TrainMemory alone = train_memory(shape);
  CHECK(alone.optimizer == 10 * parameters);  // two moments, and 16 bits behind the weights
  shape.moment_bytes = 2;
  CHECK(train_memory(shape).optimizer == 6 * parameters);
  shape.moment_bytes = 4;
  CHECK(alone.gradients == 4 * parameters);
  shape.gradient_bytes = 2;
  CHECK(train_memory(shape).gradients == 2 * parameters + 2 * 300 * 64);  // the head's are float32
  shape.gradient_bytes = 4;
  shape.ranks = 4;
  CHECK(train_memory(shape).optimizer == alone.optimizer / 4);
}
