// SPDX-License-Identifier: Apache-2.0
// Scores on disk: safetensors, float32. A shared axis is one tensor named after it (`hidden`, `layers`), the others
// have one tensor for each layer (`ffn/0`, `ffn/1`, …).
#pragma once

#include <map>
#include <string>

#include "core/base/files.hpp"
#include "core/importance/job.hpp"
#include "core/importance/score.hpp"

namespace espalier {

struct ScoreFile {
  std::string axis;
  bool shared = false;
  Scores scores;
  // metric, plugin, options, samples, seq_length, seed, and the digests that the caller adds.
  std::map<std::string, std::string> metadata;
};

// What a file says about where its scores come from. Samples, their length and the micro-batch are named only when the
// metric looks at data, the length of a run only when the scores are those of runs (by their first unit).
std::map<std::string, std::string> score_metadata(const ScoreJob& job, const ScoreOptions& options);

void save_scores(const fs::path& path, const ScoreFile& file);

// Throws Error when the file is not one of ours, or a score is not finite.
ScoreFile load_scores(const fs::path& path);

}  // namespace espalier
