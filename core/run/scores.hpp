// SPDX-License-Identifier: Apache-2.0
// The score files of a run: one for each [[prune]] block, named after its axis, and a copy in the cache that all runs
// share, named by the digest of everything the scores depend on (not the target: another `keep` needs no new pass,
// unless whole runs of units are scored).
#pragma once

#include <string>

#include "core/importance/score_file.hpp"
#include "core/run/run.hpp"

namespace espalier {

// What a [[prune]] block wants scored. Where an axis removes one run of units and the metric scores whole runs, their
// length is that of the recipe's target; RecipeError when an earlier block has cut the axis.
ScoreJob block_job(const Run& run, std::size_t block);

// Can every metric score its axis? Reads no weights and no data; throws what is wrong with the recipe.
void check_jobs(const Run& run);

std::string score_key(Run& run, std::size_t block);
fs::path score_path(const Run& run, std::size_t block);
Scores load_block_scores(const Run& run, std::size_t block);

// Weights for passes without gradients: resident when they fit comfortably in memory, else streamed layer by layer.
std::unique_ptr<WeightSource> open_weights(const Checkpoint& checkpoint, Compute compute);

}  // namespace espalier
