// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.hpp"
#include "core/run/stages.hpp"
#include "core/run/training.hpp"
#include "core/train/train_checkpoint.hpp"

namespace espalier {

namespace {

// The model that learns: the sliced student, or random weights of its shape as a control; without [[prune]] the
// teacher's own.
Model starting_student(Run& run) {
  const bool pruned = !run.recipe().prune.empty();
  if (run.recipe().distill->init == "random") {
    const ModelSpec spec = pruned ? run.plan().student : run.teacher().spec();
    return Model(spec, run.recipe().seed, run.compute());
  }
  return Model(pruned ? run.student() : run.teacher(), run.compute());
}

}  // namespace

std::string distill_inputs(Run& run) {
  Digest digest;
  digest.add(run.teacher().digest()).add(run.output_of("slice")).add(training_digest(run, *run.recipe().distill));
  return digest.hex();
}

std::string run_distill(Run& run) {
  Model student = starting_student(run);
  Model teacher(run.teacher(), run.compute());
  run_training(run, *run.recipe().distill, "distill", student, &teacher, run.files().checkpoints(),
               run.files().metrics());
  return digest_of_file(latest_checkpoint(run.files().checkpoints()) / "model.safetensors");
}

}  // namespace espalier
