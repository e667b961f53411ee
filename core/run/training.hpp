// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/run/run.hpp"
#include "core/train/trainer.hpp"

namespace espalier {

// The digest of a training block: everything in it that can change the result.
std::string training_digest(Run& run, const TrainBlock& block);

// Trains `student` in place as the block says, resuming what lies in the stage's checkpoints. `teacher` may be nullptr
// when no loss asks for one; `cache`, where there is one, stands for it as far as TrainJob says. Both stages that train
// ([correct] and [distill]) come through here.
TrainResult run_training(Run& run, const TrainBlock& block, const std::string& stage, Model& student,
                         WeightSource* teacher, const TeacherCache* cache = nullptr);

// Where a training keeps its checkpoints and its logs, and how it is told of. Empty `events`: none for TensorBoard.
struct TrainingFiles {
  fs::path checkpoints, metrics, events;
};
struct TrainingPlace {
  TrainingFiles files;
  std::string label;
  std::int64_t horizon = 0;  // steps of the whole schedule, of which the block's are the first; 0: these are all
};

// The same for a training that is no stage of its own.
TrainResult train_at(Run& run, const TrainBlock& block, const TrainingPlace& place, Model& student,
                     WeightSource* teacher, const TeacherCache* cache = nullptr);

// Where a training stage ("correct" or "distill") keeps its checkpoints and its log. The run's main training has the
// plain names; a correction before a distillation stands beside it.
TrainingFiles training_files(const Run& run, const std::string& stage);
void discard_training(const Run& run, const std::string& stage);

// What of a training others may take over, and what decides its bytes beside training_digest: the logs and checkpoints
// say more than the model, namely what was measured on the way, and how often.
std::vector<fs::path> training_products(const Run& run, const std::string& stage);
std::string training_basis(Run& run, const TrainBlock& block, const std::string& stage);

// The model that [distill] starts from: the sliced student, or random weights of its shape as a control; without
// [[prune]] the teacher's own shape. The digest names it without making it.
Model starting_student(Run& run);
std::string starting_student_digest(Run& run);

// The newest checkpoint of a training that has ended, and its weights, float32, to a writer.
fs::path last_checkpoint(const fs::path& checkpoints);
void write_trained(const fs::path& checkpoints, CheckpointWriter& writer);

}  // namespace espalier
