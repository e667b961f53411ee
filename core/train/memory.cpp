// SPDX-License-Identifier: Apache-2.0
#include "core/train/memory.hpp"

#include <algorithm>

#include <c10/core/CachingDeviceAllocator.h>

#include "core/base/strings.hpp"
#include "core/model/counts.hpp"

namespace espalier {
namespace {

constexpr std::int64_t kWide = 4;         // bytes of a float32: row statistics, gradients, logits
constexpr std::int64_t kTokenBytes = 16;  // of a token and its label
// Matrices of logits that a loss makes for itself, of the rows that it is shown: most make 4, jsd makes 11.
constexpr std::int64_t kLossTemporaries = 11;

// Elements that one token of a layer leaves for the backward pass, and float32 numbers beside them.
struct Kept {
  std::int64_t elements = 0, numbers = 0;
};

// On a GPU a mask is numbers to add, and each head then has keys and values of its own.
bool is_masked(const TrainShape& shape, const LayerSpec& layer) {
  return shape.multiprocessors > 0 && layer.sliding_window > 0 && layer.sliding_window < shape.seq_length;
}

Kept kept_of_attention(const TrainShape& shape, const LayerSpec& layer, bool cheap) {
  const ModelSpec& spec = shape.student;
  const std::int64_t q = layer.heads() * layer.head_dim, group = layer.kv_groups * layer.head_dim;
  const std::int64_t kv = is_masked(shape, layer) ? q : group;
  // The stream, its norm, q and k after rotation, v, the heads' results.
  Kept kept{spec.hidden * (cheap ? 1 : 2) + 2 * q + 2 * kv, 1 + layer.heads()};
  if (spec.qk_norm) kept.elements += q + group, kept.numbers += layer.heads() + layer.kv_groups;
  return kept;
}

Kept kept_of_mlp(const ModelSpec& spec, const LayerSpec& layer, bool cheap) {
  const std::int64_t inner = (spec.gated ? 2 : 1) + (cheap ? 0 : 1);  // before the activation, and after it
  return {spec.hidden * (cheap ? 1 : 2) + inner * layer.ffn, 1};
}

std::int64_t bytes_of(const Kept& kept, std::int64_t element) { return kept.elements * element + kept.numbers * kWide; }

// Of one token in one layer.
std::int64_t layer_bytes(const TrainShape& shape, const LayerSpec& layer, Recompute recompute) {
  if (recompute == Recompute::layers) return shape.student.hidden * shape.dtype_bytes;
  const bool cheap = recompute == Recompute::cheap;
  std::int64_t bytes = 0;
  if (layer.attention) bytes += bytes_of(kept_of_attention(shape, layer, cheap), shape.dtype_bytes);
  if (layer.mlp) bytes += bytes_of(kept_of_mlp(shape.student, layer, cheap), shape.dtype_bytes);
  return bytes;
}

// Elements of the MLP's matrices together.
std::int64_t mlp_matrices(const ModelSpec& spec, const LayerSpec& layer) {
  return layer.mlp ? (spec.gated ? 3 : 2) * spec.hidden * layer.ffn : 0;
}

std::int64_t rounded_up(std::int64_t number, std::int64_t unit) { return (number + unit - 1) / unit * unit; }

// What FlashAttention-2's backward pass takes for itself in its deterministic form: gradients of the queries in
// float32, once for each share of the keys that other multiprocessors work on, a number for each query, and gradients
// of keys and values for each head where heads share them (LibTorch's flash_attn/flash_api.cpp, mha_bwd). The kernel
// for masks has one share.
std::int64_t attention_bytes(const TrainShape& shape, const LayerSpec& layer) {
  const std::int64_t heads = shape.micro_batch * layer.heads(), positions = rounded_up(shape.seq_length, 128);
  const std::int64_t width = rounded_up(layer.head_dim, layer.head_dim <= 128 ? 32 : 64);
  const std::int64_t shares = is_masked(shape, layer) ? 1 : rounded_up(shape.multiprocessors, heads) / heads;
  const bool grouped = layer.heads() != layer.kv_groups;
  return heads * positions * (shares * width + 1) * kWide +
         (grouped ? 2 : 0) * heads * shape.seq_length * layer.head_dim * shape.dtype_bytes;
}

// The backward pass through the layers, from the last to the first: all that there is at its worst moment. Beside the
// stream's gradient on both ways around a block are those of what is inside.
std::int64_t backward_peak(const TrainShape& shape, std::int64_t kept) {
  const ModelSpec& spec = shape.student;
  const std::int64_t element = shape.dtype_bytes, rows = shape.micro_batch * shape.seq_length;
  const bool cheap = shape.recompute == Recompute::cheap, whole = shape.recompute == Recompute::layers;
  std::int64_t peak = kept;
  const auto moment = [&](std::int64_t elements, std::int64_t bytes) {
    peak = std::max(peak, kept + (2 * rows * spec.hidden + elements) * element + bytes);
  };
  for (auto layer = spec.layers.rbegin(); layer != spec.layers.rend(); ++layer) {
    if (whole) kept += rows * layer_bytes(shape, *layer, Recompute::none);
    if (layer->mlp) {
      // A matrix has its gradient until that is added to the others; a layer or a part that is made again has those of
      // all its matrices until its end.
      const std::int64_t down = spec.hidden * layer->ffn;
      moment(rows * layer->ffn + down, 0);
      // At the activation: gradients of what goes in and of what comes out, which was let go before, or made again.
      moment(rows * ((spec.gated ? 3 : 2) + (cheap ? 1 : -1)) * layer->ffn + (cheap || whole ? down : 0), 0);
      kept -= rows * bytes_of(kept_of_mlp(spec, *layer, cheap), element);
    }
    if (layer->attention) {
      const std::int64_t q = layer->heads() * layer->head_dim, kv = layer->kv_groups * layer->head_dim;
      const std::int64_t before = whole ? mlp_matrices(spec, *layer) : 0, o = spec.hidden * q;
      moment(rows * q + before + o, 0);
      moment(rows * (2 * q + 2 * kv) + before + (whole ? o : 0),
             shape.multiprocessors > 0 ? attention_bytes(shape, *layer) : 0);
      kept -= rows * bytes_of(kept_of_attention(shape, *layer, cheap), element);
    }
    if (whole) kept -= rows * spec.hidden * element;  // where the layer began
  }
  return std::max(peak, kept + (rows + spec.vocab) * spec.hidden * element);  // the embedding's own
}

// What compared pairs of states keep for their backward pass, a difference, and where it is projected the student's
// state in float32; and what the last of them needs on its way: both states in float32, and squares of theirs.
std::int64_t pairs_bytes(const TrainShape& shape) {
  if (shape.feature_pairs == 0) return 0;
  const std::int64_t ours = shape.student.hidden, theirs = shape.teacher->hidden;
  const std::int64_t copied = shape.loss_parameters > 0 && shape.dtype_bytes < kWide ? ours : 0;
  const std::int64_t way = (shape.dtype_bytes < kWide ? ours + theirs : 0) + theirs;
  return shape.micro_batch * shape.seq_length * (shape.feature_pairs * (theirs + copied) + way) * kWide;
}

}  // namespace

std::int64_t forward_bytes(const ModelSpec& spec, std::int64_t rows, std::int64_t element) {
  std::int64_t widest = 0;
  for (const LayerSpec& layer : spec.layers) {
    const std::int64_t attention =
        layer.attention ? spec.hidden + 3 * layer.heads() * layer.head_dim + 2 * layer.kv_groups * layer.head_dim : 0;
    const std::int64_t mlp = layer.mlp ? spec.hidden + (spec.gated ? 3 : 2) * layer.ffn : 0;
    widest = std::max({widest, attention, mlp});
  }
  return rows * (spec.hidden + widest) * element;
}

TrainMemory train_memory(const TrainShape& shape) {
  const std::int64_t element = shape.dtype_bytes, rows = shape.micro_batch * shape.seq_length;
  const ModelSpec& student = shape.student;
  const std::int64_t parameters = count(student, 1, 1).parameters;
  TrainMemory memory;
  memory.student = parameters * element;
  memory.gradients =
      parameters * shape.gradient_bytes + student.vocab * student.hidden * (kWide - shape.gradient_bytes);
  memory.optimizer = parameters * (2 * shape.moment_bytes + (kWide - element)) / shape.ranks;
  if (shape.teacher) memory.teacher = count(*shape.teacher, element, 1).bytes;
  memory.student += shape.loss_parameters * kWide;
  memory.gradients += shape.loss_parameters * kWide;
  memory.optimizer += shape.loss_parameters * 2 * shape.moment_bytes / shape.ranks;

  bool masked = false;
  for (const LayerSpec& layer : student.layers) {
    memory.activations += rows * layer_bytes(shape, layer, shape.recompute);
    masked = masked || (layer.attention && is_masked(shape, layer));
  }
  if (masked) memory.activations += shape.seq_length * shape.seq_length * element;  // one for all layers
  const std::int64_t in_layers = memory.activations;
  memory.activations += rows * (2 * student.hidden * element + kWide);  // the final norm's input and result

  const std::int64_t chunk = std::min(shape.head_chunk, rows);
  const bool asks = shape.teacher.has_value();
  memory.head = chunk * (student.vocab * (kWide * (asks ? 2 : 1) + shape.head_gradient_bytes) + kWide) +
                std::min(chunk, shape.loss_rows) * student.vocab * kWide * kLossTemporaries;
  const std::int64_t tokens = shape.sequences * shape.seq_length * kTokenBytes;  // of a step, on the device
  const std::int64_t states = rows * student.hidden * element;
  const std::int64_t theirs = asks ? rows * shape.teacher->hidden * element : 0,
                     features = shape.teacher_states * theirs;
  const std::int64_t at_head = theirs + features + states + tokens;
  const std::int64_t at_features = pairs_bytes(shape) + features + states + tokens;
  // The head's states and their gradient stay to the end; those of features wait for their layers.
  const std::int64_t back =
      backward_peak(shape, in_layers) + (1 + shape.feature_pairs) * states + features - memory.activations + tokens;
  // While the teacher runs, nothing of the student is kept yet, but the step's tokens and the next one's.
  const std::int64_t teacher_pass = asks && shape.teacher_runs ? forward_bytes(*shape.teacher, rows, element) : 0;
  // A recorded pass keeps its memory, with its inputs and results, for itself.
  const std::int64_t at_teacher = teacher_pass + features + 2 * tokens - memory.activations;
  const std::int64_t at_student = std::max({at_head, at_features, back});
  memory.working = shape.recorded ? at_student + teacher_pass + theirs + features : std::max(at_student, at_teacher);
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

void forget_peak_device_bytes(at::Device device) {
  c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
}

std::string to_text(const TrainMemory& memory) {
  const auto text = [](std::int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  return fmt::format(
      "{} (weights {} + {} of the teacher, gradients {}, optimizer {}, activations {}, head {}, working {})",
      text(memory.total()), text(memory.student), text(memory.teacher), text(memory.gradients), text(memory.optimizer),
      text(memory.activations), text(memory.head), text(memory.working));
}

}  // namespace espalier
