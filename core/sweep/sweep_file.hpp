// SPDX-License-Identifier: Apache-2.0
// sweep.json: what a sweep consists of and how far it is. Holds no time.
#pragma once

#include <string>
#include <vector>

#include "core/sweep/expand.hpp"

namespace espalier {

enum class RunState { pending, running, done, failed };

struct RunStatus {
  RunState state = RunState::pending;
  std::string error;       // of a failed run, one line
  std::size_t device = 0;  // of a running one: which of this machine's GPUs
};

std::string name_of(RunState state);

// `status` is in the order of the sweep's runs; `threads` is what each run computes with.
nlohmann::json sweep_to_json(const Sweep& sweep, const std::vector<RunStatus>& status, int threads);

// The threads that an earlier call has recorded in a sweep's folder; 0: none.
int recorded_threads(const fs::path& folder);

}  // namespace espalier
