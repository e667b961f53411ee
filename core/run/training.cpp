// SPDX-License-Identifier: Apache-2.0
#include "core/run/training.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/eval/evaluate.hpp"

namespace espalier {

namespace {

bool any_needs_teacher(const std::vector<WeightedLoss>& losses) {
  return std::any_of(losses.begin(), losses.end(), [](const WeightedLoss& loss) { return loss.loss->needs_teacher(); });
}

TrainPlan plan_of(const TrainBlock& block, const std::string& label) {
  TrainPlan plan;
  plan.steps = block.total_steps();
  plan.global_batch = block.global_batch;
  plan.micro_batch = block.micro_batch;
  plan.seq_length = block.seq_length;
  plan.beta1 = block.optimizer.beta1;
  plan.beta2 = block.optimizer.beta2;
  plan.eps = block.optimizer.eps;
  plan.weight_decay = block.optimizer.weight_decay;
  plan.clip_grad = block.clip_grad;
  plan.save_every = block.save_every;
  plan.keep_last = block.keep_last;
  plan.eval_every = block.eval_every;
  plan.log_every = block.log_every;
  plan.label = label;
  return plan;
}

}  // namespace

std::string training_digest(Run& run, const TrainBlock& block) {
  Digest digest;
  for (const LossBlock& loss : block.losses)
    digest.add(run.component_digest(*loss.loss)).add(std::to_string(loss.weight));
  digest.add(run.component_digest(*block.scheduler)).add(run.data_digest(DataPart::train)).add(block.init);
  const OptimizerBlock& optimizer = block.optimizer;
  digest.add(fmt::format("{} {} {} {} {} {} {} {} {} {} {}", block.total_steps(), block.global_batch, block.micro_batch,
                         block.seq_length, optimizer.beta1, optimizer.beta2, optimizer.eps, optimizer.weight_decay,
                         block.clip_grad, run.recipe().seed, c10::toString(run.compute().dtype)));
  return digest.hex();
}

TrainResult run_training(Run& run, const TrainBlock& block, const std::string& label, Model& student,
                         WeightSource* teacher, const fs::path& checkpoints, const fs::path& metrics) {
  TrainJob job;
  job.student = &student;
  for (const LossBlock& loss : block.losses) {
    job.losses.push_back({loss.loss->name, loss.weight, run.registry().logit_loss(*loss.loss, run.host())});
  }
  job.teacher = teacher;
  if (teacher == nullptr && any_needs_teacher(job.losses)) {
    reject(
        "[{}] a loss compares with a teacher, but there is none to compare with; expected losses on the labels alone",
        label);
  }
  job.scheduler = run.registry().scheduler(*block.scheduler, run.host());
  job.plan = plan_of(block, label);
  const TrainingStream stream(run.data(DataPart::train), block.seq_length, run.recipe().seed);
  job.data = &stream;
  job.checkpoints = checkpoints;
  job.metrics = metrics;
  if (block.eval_every > 0 && !run.data(DataPart::valid).empty()) {
    job.evaluate = [&run, &block](Model& model) {
      EvalOptions options;
      options.windows = block.eval_windows;
      options.seq_length = block.seq_length;
      return evaluate(model, run.data(DataPart::valid), options).nll;
    };
  }
  return train(job);
}

}  // namespace espalier
