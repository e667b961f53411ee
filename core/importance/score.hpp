// SPDX-License-Identifier: Apache-2.0
// Scoring: evidence from one pass over the calibration data for all metrics that want activations or hidden states, one
// there and back for those that want gradients, the weights for those that want weights, and the loss without each unit
// of an axis of layers for those that probe.
// Non-goals: deciding what is kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/tokens.hpp"
#include "core/forward/model.hpp"
#include "core/importance/job.hpp"

namespace espalier {

struct ScoreOptions {
  std::int64_t samples = 1024;
  std::int64_t seq_length = 0;   // tokens of a sample
  std::int64_t micro_batch = 1;  // samples of a forward pass
  std::uint64_t seed = 0;
  std::string tokenizer = "bytes";  // of choice tasks; or a folder with tokenizer.json, or a tokenizer.json
  // Streamed weights only: hidden states that may exist at a time. A larger tile reads the weights less often.
  std::int64_t tile_bytes = std::int64_t{1} << 30;
};

// The scores of each job, in their order. Calibration data is read only when a job needs it; it may be empty otherwise.
// Throws Error (too few windows, a metric that breaks its contract) and Interrupted.
std::vector<Scores> score(WeightSource& weights, const std::vector<ScoreJob>& jobs,
                          const std::vector<TokenSource>& calibration, const ScoreOptions& options);

}  // namespace espalier
