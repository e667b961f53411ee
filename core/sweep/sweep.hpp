// SPDX-License-Identifier: Apache-2.0
// Runs every run of a sweep that is not done yet, each as a process of its own.
#pragma once

#include <optional>
#include <string>

#include "core/sweep/cost.hpp"
#include "core/sweep/sweep_file.hpp"

namespace espalier {

struct SweepOptions {
  std::int64_t jobs = 1;                  // runs at once
  std::optional<std::int64_t> memory;     // bytes of a device for the runs on it; absent: 80 % of what is free there
  std::int64_t threads = 0;               // of each run; 0: what was recorded, else the cores shared among the jobs
  std::string device = "cpu";             // what runs are told
  Compute compute{at::kFloat, at::kCPU};  // what that is here
};

// Threads of each run.
int threads_of(const Sweep& sweep, const SweepOptions& options);

// What would be done: runs, shared work, cost.
std::string describe(const Sweep& sweep, const Registry& registry, const SweepOptions& options);
nlohmann::json description(const Sweep& sweep, const Registry& registry, const SweepOptions& options);

struct SweepResult {
  std::vector<RunStatus> status;  // in the order of the sweep's runs
  std::int64_t started = 0;       // runs that were not up to date
  std::string text;               // what the end of the sweep says
  std::int64_t failed() const;
};

// Holds the folder's lock. Goes on past a run that fails. Interrupted when a signal came: the runs have saved what they
// must.
SweepResult run_sweep(const Sweep& sweep, const Registry& registry, const SweepOptions& options);

}  // namespace espalier
