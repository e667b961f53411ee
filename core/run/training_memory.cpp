// SPDX-License-Identifier: Apache-2.0
#include "core/run/training_memory.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "core/base/memory.hpp"
#include "core/base/strings.hpp"
#include "core/run/device.hpp"
#include "core/train/feature_terms.hpp"
#include "core/train/kd_head.hpp"

namespace espalier {
namespace {

// On a GPU: workspaces of cuBLAS, 32 MiB for each stream that multiplies, and kernels as they are first used. And what
// the allocator cannot give because it lies in pieces.
constexpr std::int64_t kLibraries = std::int64_t{256} << 20, kContext = std::int64_t{512} << 20;
constexpr double kUsable = 0.95;

// The head keeps a logit's gradient in float32, and on its way into products of a narrower dtype in that too; where all
// losses are fused into one pass (on a GPU), in the products' dtype alone.
void head_of(const Run& run, const TrainBlock& block, Compute compute, TrainShape& shape) {
  const auto narrow = static_cast<std::int64_t>(c10::elementSize(compute.dtype));
  std::vector<WeightedLoss> losses;
  for (const LossBlock& entry : block.losses) {
    Loss loss = run.registry().loss(*entry.loss, run.host());
    if (loss.on_logits) losses.push_back({entry.loss->name, entry.weight, std::move(loss.on_logits)});
  }
  if (losses.empty()) return;
  shape.head_chunk = default_head_chunk(shape.student.vocab, compute.device);
  const bool fused = compute.device.is_cuda() && FusedLosses(losses).all();
  shape.head_gradient_bytes = fused ? narrow : narrow < 4 ? 4 + narrow : 4;
  if (compute.device.is_cuda() && !fused) shape.loss_rows = loss_rows(shape.student.vocab, compute.device);
}

void features_of(const Run& run, const TrainBlock& block, TrainShape& shape) {
  std::set<Feature> states;
  for (const LossBlock& entry : block.losses) {
    const Loss loss = run.registry().loss(*entry.loss, run.host());
    if (!loss.on_features || !shape.teacher) continue;
    const FeaturePlan plan = checked_plan(entry.loss->name, *loss.on_features, shape.student, *shape.teacher);
    shape.feature_pairs += static_cast<std::int64_t>(plan.pairs.size());
    for (const FeaturePair& pair : plan.pairs) states.insert(pair.teacher);
    for (const at::Tensor& parameter : plan.parameters) shape.loss_parameters += parameter.numel();
  }
  shape.teacher_states = static_cast<std::int64_t>(states.size());
}

TrainShape shape_of(const Run& run, const TrainBlock& block, const ModelSpec& student,
                    const std::optional<ModelSpec>& teacher, Compute compute) {
  TrainShape shape;
  shape.student = student;
  if (needs_teacher(run, block)) shape.teacher = teacher;
  shape.micro_batch = block.micro_batch;
  shape.seq_length = block.seq_length;
  shape.sequences = block.global_batch / run.comm().size();
  head_of(run, block, compute, shape);
  features_of(run, block, shape);
  shape.dtype_bytes = static_cast<std::int64_t>(c10::elementSize(compute.dtype));
  shape.moment_bytes = static_cast<std::int64_t>(c10::elementSize(moments_of(block)));
  if (compute.dtype == at::kBFloat16)
    shape.gradient_bytes = static_cast<std::int64_t>(c10::elementSize(gradients_of(block)));
  shape.recompute = recompute_of(block);
  if (compute.device.is_cuda()) shape.recorded = block.cuda_graph, shape.multiprocessors = kMultiprocessors;
  shape.ranks = run.comm().size();
  return shape;
}

std::int64_t available_bytes(at::Device device) {
  if (device.is_cpu()) return physical_memory_bytes() / this_launch().local_size - program_bytes(device);
  return static_cast<std::int64_t>(kUsable * static_cast<double>(free_device_bytes(device))) - kLibraries;
}

void check(const TrainBlock& block, const std::string& table, const TrainShape& shape, std::int64_t limit,
           Diagnostics& diagnostics) {
  const TrainMemory memory = train_memory(shape);
  if (memory.total() <= limit) return;
  TrainShape smaller = shape;
  std::string expected;
  const auto offer = [&](const char* recompute) {
    const std::int64_t fits =
        fitting_micro_batch(smaller, std::max<std::int64_t>(block.global_batch / shape.ranks, 1), limit);
    if (fits == 0 || !expected.empty()) return;
    expected = fmt::format("micro_batch = {}{}", fits, recompute);
  };
  offer("");
  for (const auto& [recompute, text] : {std::pair{Recompute::cheap, " with recompute = \"cheap\""},
                                        std::pair{Recompute::layers, " with recompute = \"layers\""}}) {
    smaller.recompute = recompute;
    if (recompute > shape.recompute) offer(text);
  }
  if (expected.empty()) expected = "more memory, or more ranks to share the optimizer's state: no micro-batch fits";
  diagnostics.error(block.micro_batch_where, table,
                    fmt::format("a training step does not fit {} of memory", human_bytes(static_cast<double>(limit))),
                    to_text(memory), expected);
}

}  // namespace

std::int64_t program_bytes(at::Device device) {
  return device.is_cpu() ? std::int64_t{320} << 20 : kContext + kLibraries;
}

Recompute recompute_of(const TrainBlock& block) {
  if (block.recompute == "layers") return Recompute::layers;
  return block.recompute == "cheap" ? Recompute::cheap : Recompute::none;
}

at::ScalarType moments_of(const TrainBlock& block) {
  return block.optimizer.moments == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

at::ScalarType gradients_of(const TrainBlock& block) {
  return block.optimizer.gradients == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

bool needs_teacher(const Run& run, const TrainBlock& block) {
  return std::any_of(block.losses.begin(), block.losses.end(), [&](const LossBlock& entry) {
    const Loss loss = run.registry().loss(*entry.loss, run.host());
    return loss.on_features || loss.on_logits->needs_teacher();
  });
}

std::map<std::string, TrainShape> training_shapes(const Run& run, const ModelSpec& student, Compute compute) {
  const Recipe& recipe = run.recipe();
  std::map<std::string, TrainShape> shapes;
  const ModelSpec given = run.teacher_spec();
  if (recipe.correct) {
    const std::optional<ModelSpec> before = recipe.teacher.spec ? std::nullopt : std::optional(given);
    shapes["correct"] = shape_of(run, *recipe.correct, given, before, compute);
  }
  if (recipe.distill) {
    TrainShape& shape = shapes["distill"] =
        shape_of(run, *recipe.distill, student, run.distill_teacher_spec(), compute);
    shape.teacher_runs = !recipe.teacher_cache;
  }
  return shapes;
}

void check_training_memory(Run& run, const ModelSpec& student, const std::string& table) {
  Diagnostics diagnostics;
  const std::int64_t limit = available_bytes(run.compute().device);
  for (const auto& [name, shape] : training_shapes(run, student, run.compute())) {
    if (table.empty() ? run.ledger().knows(name) : name != table) continue;
    check(name == "correct" ? *run.recipe().correct : *run.recipe().distill, name, shape, limit, diagnostics);
  }
  diagnostics.throw_if_any();
}

std::string training_memory_lines(const Run& run, const ModelSpec& student) {
  std::string text;
  for (const auto& [where, compute] : {std::pair{"float32 on the CPU", Compute{at::kFloat, at::kCPU}},
                                       std::pair{"bfloat16 on a GPU", Compute{at::kBFloat16, at::kCUDA}}}) {
    for (const auto& [table, shape] : training_shapes(run, student, compute))
      text += fmt::format("{}: memory of a step in {}: {}\n", table, where, to_text(train_memory(shape)));
  }
  return text;
}

nlohmann::json training_memory_json(const Run& run, const ModelSpec& student) {
  nlohmann::json json;
  for (const auto& [dtype, compute] : {std::pair{"float32", Compute{at::kFloat, at::kCPU}},
                                       std::pair{"bfloat16", Compute{at::kBFloat16, at::kCUDA}}}) {
    for (const auto& [table, shape] : training_shapes(run, student, compute)) {
      const TrainMemory memory = train_memory(shape);
      json[table][dtype] = {{"bytes", memory.total()},       {"student", memory.student},
                            {"teacher", memory.teacher},     {"gradients", memory.gradients},
                            {"optimizer", memory.optimizer}, {"activations", memory.activations},
                            {"head", memory.head},           {"working", memory.working}};
    }
  }
  return json;
}

}  // namespace espalier
