// SPDX-License-Identifier: Apache-2.0
#include "core/run/training.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/eval/evaluate.hpp"
#include "core/run/stages.hpp"
#include "core/run/step_trace.hpp"
#include "core/run/training_memory.hpp"

namespace espalier {

namespace {

void add_loss(Run& run, const LossBlock& block, TrainJob& job) {
  Loss loss = run.registry().loss(*block.loss, run.host());
  if (loss.on_logits) {
    job.losses.push_back({block.loss->name, block.weight, std::move(loss.on_logits)});
  } else {
    job.feature_losses.push_back({block.loss->name, block.weight, std::move(loss.on_features)});
  }
}

TrainPlan plan_of(const TrainBlock& block, const std::string& label) {
  TrainPlan plan;
  plan.steps = block.total_steps();
  plan.global_batch = block.global_batch;
  plan.micro_batch = block.micro_batch;
  plan.recompute = recompute_of(block);
  plan.cuda_graph = block.cuda_graph;
  plan.seq_length = block.seq_length;
  plan.beta1 = block.optimizer.beta1;
  plan.beta2 = block.optimizer.beta2;
  plan.eps = block.optimizer.eps;
  plan.weight_decay = block.optimizer.weight_decay;
  plan.moments = moments_of(block);
  plan.gradients = gradients_of(block);
  plan.clip_grad = block.clip_grad;
  plan.save_every = block.save_every;
  plan.keep_last = block.keep_last;
  plan.eval_every = block.eval_every;
  plan.log_every = block.log_every;
  plan.dynamic_balance = block.balance == "dynamic";
  plan.label = label;
  return plan;
}

}  // namespace

std::string training_digest(Run& run, const TrainBlock& block) {
  Digest digest;
  for (const LossBlock& loss : block.losses)
    digest.add(run.component_digest(*loss.loss)).add(std::to_string(loss.weight));
  digest.add(run.component_digest(*block.scheduler)).add(run.data_digest(DataPart::train)).add(block.init);
  if (block.balance != "fixed") digest.add(block.balance);
  const OptimizerBlock& optimizer = block.optimizer;
  digest.add(fmt::format("{} {} {} {} {} {} {} {} {} {} {}", block.total_steps(), block.global_batch, block.micro_batch,
                         block.seq_length, optimizer.beta1, optimizer.beta2, optimizer.eps, optimizer.weight_decay,
                         block.clip_grad, run.recipe().seed, c10::toString(run.compute().dtype)));
  if (optimizer.moments != "float32") digest.add(optimizer.moments);
  if (optimizer.gradients != "float32") digest.add("gradients " + optimizer.gradients);
  return digest.hex();
}

TrainResult run_training(Run& run, const TrainBlock& block, const std::string& stage, Model& student,
                         WeightSource* teacher, const TeacherCache* cache) {
  const TrainResult result = train_at(run, block, {training_files(run, stage), stage}, student, teacher, cache);
  run.ledger().resumed(stage, result.earlier_seconds);
  return result;
}

TrainResult train_at(Run& run, const TrainBlock& block, const TrainingPlace& place, Model& student,
                     WeightSource* teacher, const TeacherCache* cache) {
  TrainJob job;
  job.comm = &run.comm();
  job.student = &student;
  for (const LossBlock& loss : block.losses) add_loss(run, loss, job);
  job.teacher = teacher;
  job.teacher_cache = cache;
  if (teacher == nullptr && cache == nullptr && needs_teacher(run, block)) {
    reject(
        "[{}] a loss compares with a teacher, but there is none to compare with; expected losses on the labels alone",
        place.label);
  }
  job.scheduler = run.registry().scheduler(*block.scheduler, run.host());
  job.plan = plan_of(block, place.label);
  job.plan.horizon = place.horizon;
  const TrainingStream stream(run.data(DataPart::train), block.seq_length, run.recipe().seed);
  job.data = &stream;
  job.checkpoints = place.files.checkpoints;
  job.metrics = place.files.metrics;
  job.events = place.files.events;
  if (block.eval_every > 0 && !run.data(DataPart::valid).empty()) {
    job.evaluate = [&run, &block](Model& model) {
      EvalOptions options;
      options.windows = block.eval_windows;
      options.seq_length = block.seq_length;
      return evaluate(model, run.data(DataPart::valid), options).nll;
    };
  }
  std::optional<StepTrace> trace;
  if (const auto file = wanted_trace(); file && run.leads()) {
    trace.emplace(*file, run.compute().device);
    job.on_step = [&trace](std::int64_t) { trace->after_step(); };
  }
  return train(job);
}

TrainingFiles training_files(const Run& run, const std::string& stage) {
  const fs::path events = run.files().tensorboard() / stage;
  if (stage == "distill" || !run.recipe().distill) return {run.files().checkpoints(), run.files().metrics(), events};
  return {run.files().root / "checkpoints.correct", run.files().root / "metrics.correct.jsonl", events};
}

void discard_training(const Run& run, const std::string& stage) {
  const TrainingFiles files = training_files(run, stage);
  std::error_code error;
  fs::remove_all(files.checkpoints, error);
  if (!error) fs::remove(files.metrics, error);
  if (!error) fs::remove_all(files.events, error);
  if (error)
    fail("{}: cannot remove the checkpoints of another recipe; got {}", files.checkpoints.string(), error.message());
}

std::vector<fs::path> training_products(const Run& run, const std::string& stage) {
  const TrainingFiles files = training_files(run, stage);
  std::vector<fs::path> products;
  for (const fs::path& path : {files.checkpoints, files.metrics, files.events}) products.push_back(relative(run, path));
  return products;
}

std::string training_basis(Run& run, const TrainBlock& block, const std::string& stage) {
  Digest digest;
  digest.add(fmt::format("{} {} {} {} {}", block.save_every, block.keep_last, block.eval_every, block.eval_windows,
                         block.log_every));
  if (block.eval_every > 0) digest.add(run.data_digest(DataPart::valid));
  for (const fs::path& product : training_products(run, stage)) digest.add(product.string());
  return digest.hex();
}

Model starting_student(Run& run) {
  const bool pruned = !run.recipe().prune.empty();
  if (run.recipe().distill->init != "random") return Model(pruned ? run.student() : run.teacher(), run.compute());
  return Model(pruned ? run.plan().student : run.teacher().spec(), run.recipe().seed, run.compute());
}

std::string starting_student_digest(Run& run) {
  const Checkpoint& shape = run.recipe().prune.empty() ? run.teacher() : run.student();
  if (run.recipe().distill->init != "random") return shape.digest();
  return digest_of(spec_to_json(shape.spec()).dump() + " seed " + std::to_string(run.recipe().seed));
}

fs::path last_checkpoint(const fs::path& checkpoints) {
  std::string name = read_text(checkpoints / "latest");
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return checkpoints / name;
}

void write_trained(const fs::path& checkpoints, CheckpointWriter& writer) {
  const SafetensorsFile trained(last_checkpoint(checkpoints) / "model.safetensors");
  for (const Parameter& parameter : writer.parameters()) {
    const TensorInfo* info = trained.find(parameter.name);
    if (info == nullptr) fail("{}: tensor '{}' is missing", trained.path().string(), parameter.name);
    writer.write(trained.tensor(*info));
  }
}

}  // namespace espalier
