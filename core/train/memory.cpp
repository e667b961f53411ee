// SPDX-License-Identifier: Apache-2.0
#include "core/train/memory.hpp"

#include <algorithm>

#include <c10/core/CachingDeviceAllocator.h>

#include "core/base/strings.hpp"
#include "core/model/counts.hpp"

namespace espalier {
namespace {

constexpr std::int64_t kWide = 4;  // bytes of a float32: row statistics, gradients, logits

// Elements that one token of a layer leaves for the backward pass, and float32 numbers beside them.
struct Kept {
  std::int64_t elements = 0, numbers = 0;
};

Kept kept_of_attention(const ModelSpec& spec, const LayerSpec& layer, bool cheap) {
  const std::int64_t q = layer.heads() * layer.head_dim, kv = layer.kv_groups * layer.head_dim;
  // The stream, its norm, q and k after rotation, v, the heads' results.
  Kept kept{spec.hidden * (cheap ? 1 : 2) + 2 * q + 2 * kv, 1 + layer.heads()};
  if (spec.qk_norm) kept.elements += q + kv, kept.numbers += layer.heads() + layer.kv_groups;
  return kept;
}

Kept kept_of_mlp(const ModelSpec& spec, const LayerSpec& layer, bool cheap) {
  const std::int64_t inner = (spec.gated ? 2 : 1) + (cheap ? 0 : 1);  // before the activation, and after it
  return {spec.hidden * (cheap ? 1 : 2) + inner * layer.ffn, 1};
}

std::int64_t bytes_of(const Kept& kept, std::int64_t element) { return kept.elements * element + kept.numbers * kWide; }

// Of one token in one layer.
std::int64_t layer_bytes(const ModelSpec& spec, const LayerSpec& layer, Recompute recompute, std::int64_t element) {
  if (recompute == Recompute::layers) return spec.hidden * element;
  const bool cheap = recompute == Recompute::cheap;
  std::int64_t bytes = 0;
  if (layer.attention) bytes += bytes_of(kept_of_attention(spec, layer, cheap), element);
  if (layer.mlp) bytes += bytes_of(kept_of_mlp(spec, layer, cheap), element);
  return bytes;
}

// What one token of a layer needs beside what is kept: on its way back, the widest of its gradients together.
std::int64_t backward_bytes(const ModelSpec& spec, const LayerSpec& layer, Recompute recompute, std::int64_t element) {
  std::int64_t widest = 2 * spec.hidden;
  // At the activation: gradients of what goes in and of what comes out, which was let go before, or made again just
  // now.
  if (layer.mlp) widest += ((spec.gated ? 3 : 2) + (recompute == Recompute::cheap ? 1 : -1)) * layer.ffn;
  std::int64_t bytes = widest * element;
  if (recompute == Recompute::layers) bytes += layer_bytes(spec, layer, Recompute::none, element);
  return bytes;
}

// One token on its way through a layer of a model that keeps nothing.
std::int64_t forward_bytes(const ModelSpec& spec, std::int64_t element) {
  std::int64_t widest = 0;
  for (const LayerSpec& layer : spec.layers) {
    const std::int64_t attention =
        layer.attention ? spec.hidden + 3 * layer.heads() * layer.head_dim + 2 * layer.kv_groups * layer.head_dim : 0;
    const std::int64_t mlp = layer.mlp ? spec.hidden + (spec.gated ? 3 : 2) * layer.ffn : 0;
    widest = std::max({widest, attention, mlp});
  }
  return (spec.hidden + widest) * element;
}

}  // namespace

TrainMemory train_memory(const TrainShape& shape) {
  const std::int64_t element = shape.dtype_bytes, rows = shape.micro_batch * shape.seq_length;
  const ModelSpec& student = shape.student;
  const std::int64_t parameters = count(student, 1, 1).parameters;
  TrainMemory memory;
  memory.student = parameters * element;
  memory.gradients = parameters * kWide;
  memory.optimizer = parameters * (2 * shape.moment_bytes + (kWide - element)) / shape.ranks;
  if (shape.teacher) memory.teacher = count(*shape.teacher, element, 1).bytes;

  std::int64_t back = 0;
  for (const LayerSpec& layer : student.layers) {
    memory.activations += rows * layer_bytes(student, layer, shape.recompute, element);
    back = std::max(back, rows * backward_bytes(student, layer, shape.recompute, element));
  }
  memory.activations += rows * (2 * student.hidden * element + kWide);  // the final norm's input and result

  const std::int64_t chunk = std::min(shape.head_chunk, rows);
  const bool asks = shape.teacher.has_value();
  memory.head = chunk * (student.vocab * (kWide * (asks ? 2 : 1) + shape.head_gradient_bytes) + kWide);
  const std::int64_t theirs = asks ? rows * shape.teacher->hidden * element : 0;
  const std::int64_t at_head = theirs + rows * student.hidden * element;
  // While the teacher runs, nothing of the student is kept yet.
  const std::int64_t at_teacher = asks && shape.teacher_runs ? rows * forward_bytes(*shape.teacher, element) : 0;
  memory.working = std::max({at_head, back, at_teacher - memory.activations});
  return memory;
}

std::int64_t fitting_micro_batch(TrainShape shape, std::int64_t global_batch, std::int64_t limit) {
  for (std::int64_t batch = global_batch; batch > 0; --batch) {
    shape.micro_batch = batch;
    if (global_batch % batch == 0 && train_memory(shape).total() <= limit) return batch;
  }
  return 0;
}

std::int64_t peak_device_bytes(at::Device device) {
  const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  return stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

std::string to_text(const TrainMemory& memory) {
  const auto text = [](std::int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  return fmt::format(
      "{} (weights {} + {} of the teacher, gradients {}, optimizer {}, activations {}, head {}, working {})",
      text(memory.total()), text(memory.student), text(memory.teacher), text(memory.gradients), text(memory.optimizer),
      text(memory.activations), text(memory.head), text(memory.working));
}

}  // namespace espalier
