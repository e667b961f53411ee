// SPDX-License-Identifier: Apache-2.0
// What a training step needs, from the shapes alone: before a weight is read, and to be refused where it cannot fit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/forward/model.hpp"

namespace espalier {

constexpr std::int64_t kMultiprocessors = 132;  // of an H100 and H200: with fewer the flash kernels need less

struct TrainShape {
  ModelSpec student;
  std::optional<ModelSpec> teacher;  // whose weights are in memory; nothing: no loss asks it
  bool teacher_runs = true;          // its layers are run; false: a cache has what it says, and the head alone is asked
  std::int64_t micro_batch = 1, seq_length = 1;
  std::int64_t head_chunk = 0;  // rows of logits at a time; 0: no loss looks at logits
  // Of a logit's gradient, in all its forms: as the losses give it, as products take it.
  std::int64_t head_gradient_bytes = 4;
  std::int64_t loss_rows = 0;  // rows of logits that a loss makes matrices of its own for; 0: that is not counted
  // Of losses on hidden states: pairs that they compare, the teacher's states among them, float32 numbers that they
  // train.
  std::int64_t feature_pairs = 0, teacher_states = 0, loss_parameters = 0;
  std::int64_t sequences = 0;       // of a step, on this rank
  std::int64_t dtype_bytes = 4;     // of weights and activations
  std::int64_t moment_bytes = 4;    // of each of the optimizer's two
  std::int64_t gradient_bytes = 4;  // of all matrices but the head, whose gradient is float32
  Recompute recompute = Recompute::none;
  bool recorded = false;             // passes are recorded (cuda_graph), and keep their memory
  std::int64_t multiprocessors = 0;  // of the GPU, whose flash kernels split their work among them; 0: a CPU
  std::int64_t ranks = 1;            // that share the optimizer's state
};

// Bytes of tensors, by what they are for. What LibTorch and the program take for themselves comes on top.
struct TrainMemory {
  std::int64_t teacher = 0;  // weights
  std::int64_t student = 0;  // weights
  std::int64_t gradients = 0;
  std::int64_t optimizer = 0;    // two moments, and the 16 bits behind bfloat16 weights: this rank's share
  std::int64_t activations = 0;  // kept for the backward pass, at its start
  std::int64_t head = 0;         // a chunk of logits of both sides, float32, their gradient, and what losses need
  std::int64_t working = 0;      // what comes on top at the step's worst moment
  std::int64_t total() const { return teacher + student + gradients + optimizer + activations + head + working; }
};

TrainMemory train_memory(const TrainShape& shape);

// The most that a forward pass of so many tokens needs beside the weights, when nothing is kept for a way back.
std::int64_t forward_bytes(const ModelSpec& spec, std::int64_t rows, std::int64_t element);

// Largest micro-batch, a divisor of `global_batch`, with which the step fits `limit` bytes; 0: none does.
std::int64_t fitting_micro_batch(TrainShape shape, std::int64_t global_batch, std::int64_t limit);

// Most bytes of tensors on a GPU since the last forget_peak_device_bytes, by the allocator's count: what a prediction
// is held against.
std::int64_t peak_device_bytes(at::Device device);
void forget_peak_device_bytes(at::Device device);

// "1.2 GB (weights 100 MB + 400 MB of the teacher, gradients …)"
std::string to_text(const TrainMemory& memory);

}  // namespace espalier
