// SPDX-License-Identifier: Apache-2.0
// The score files of a run: one for each [[prune]] block and round, named after its axis, and a copy in the cache that
// all runs share, named by the digest of everything the scores depend on (not the target: another `keep` needs no new
// pass, unless whole runs of units are scored; but the scores of a later round depend on what the rounds before it
// kept). Rounds count from 1.
#pragma once

#include <string>

#include "core/importance/score_file.hpp"
#include "core/run/run.hpp"

namespace espalier {

// What a [[prune]] block wants scored in a round. Where an axis removes one run of units and the metric scores whole
// runs, their length is what the round removes; RecipeError when an earlier block has cut the axis.
ScoreJob block_job(const Run& run, std::size_t block, std::int64_t round);

// Can every metric score its axis? Reads no weights and no data; throws what is wrong with the recipe.
void check_jobs(const Run& run);

// The keys of a round's files, one for each block.
std::vector<std::string> score_keys(Run& run, std::int64_t round);
fs::path score_path(const Run& run, std::size_t block, std::int64_t round);
Scores load_block_scores(const Run& run, std::size_t block, std::int64_t round);

// Weights for passes without gradients: resident when they fit comfortably in memory, else streamed layer by layer. Of
// a checkpoint, and of what a plan leaves of one.
std::unique_ptr<WeightSource> open_weights(const Checkpoint& checkpoint, Compute compute);
std::unique_ptr<WeightSource> open_weights(const Checkpoint& teacher, const Plan& plan, Compute compute);

}  // namespace espalier
