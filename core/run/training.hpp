// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/run/run.hpp"
#include "core/train/trainer.hpp"

namespace espalier {

// The digest of a training block: everything in it that can change the result.
std::string training_digest(Run& run, const TrainBlock& block);

// Trains `student` in place as the block says, resuming what lies in `checkpoints`. `teacher` may be nullptr when no
// loss asks for one. Both stages that train ([correct] and [distill]) come through here.
TrainResult run_training(Run& run, const TrainBlock& block, const std::string& label, Model& student,
                         WeightSource* teacher, const fs::path& checkpoints, const fs::path& metrics);

}  // namespace espalier
