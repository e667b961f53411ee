// SPDX-License-Identifier: Apache-2.0
// What a run will cost, from counts alone.
#pragma once

#include <cstdint>
#include <optional>

#include "core/forward/model.hpp"
#include "core/sweep/expand.hpp"

namespace espalier {

struct RunCost {
  double training_flops = 0.0;  // student forward and backward (3 ×), teacher forward where a loss compares with it
  double scoring_flops = 0.0;   // a forward pass over the calibration samples; there and back where a metric asks
  double eval_flops = 0.0;      // of the teacher and the student before and after
  bool counts_eval = true;      // false: all of the validation data, whose size is not known before it is read
  std::int64_t training_tokens = 0, training_steps = 0;
  std::int64_t memory = 0;  // bytes of the device at the peak: an estimate
  double flops() const { return training_flops + scoring_flops + eval_flops; }
};

RunCost predict(const Recipe& recipe, const Registry& registry, Compute compute);

// FLOPs per second of training on this machine's device with so many threads: of the runs in this sweep's folder, else
// what an earlier sweep beside it has left. Nothing when nothing was timed yet.
std::optional<double> known_pace(const Sweep& sweep, const std::vector<RunCost>& costs, at::Device device, int threads);
void keep_pace(const Sweep& sweep, const std::vector<RunCost>& costs, at::Device device, int threads);

}  // namespace espalier
