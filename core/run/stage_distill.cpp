// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.hpp"
#include "core/run/stages.hpp"
#include "core/run/teacher_cache.hpp"
#include "core/run/training.hpp"
#include "core/run/training_memory.hpp"

namespace espalier {

std::string distill_inputs(Run& run) {
  Digest digest;
  digest.add(run.teacher().digest()).add(run.output_of("slice")).add(training_digest(run, *run.recipe().distill));
  if (run.recipe().has_distill_teacher()) digest.add(run.distill_teacher().digest());
  if (run.recipe().teacher_cache) digest.add(teacher_cache_text(run.recipe()));
  return digest.hex();
}

std::string run_distill(Run& run) {
  const Checkpoint& shape = run.recipe().prune.empty() ? run.teacher() : run.student();
  check_training_memory(run, shape.spec(), "distill");
  Model student = starting_student(run);
  const TrainBlock& block = *run.recipe().distill;
  const Teaching teaching = open_teaching(run, block);
  run_training(run, block, "distill", student, teaching.weights.get(), teaching.cache ? &*teaching.cache : nullptr);
  return run.leads() ? distill_written(run) : "";
}

std::string distill_written(Run& run) {
  return digest_of_file(last_checkpoint(run.files().checkpoints()) / "model.safetensors");
}

}  // namespace espalier
