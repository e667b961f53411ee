// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/sweep/sweep_file.hpp"

namespace espalier {

struct Capacity {
  std::int64_t jobs = 1;    // runs at once
  std::int64_t memory = 0;  // bytes that they may need together
};

// The run to start now: of those that wait, in `order`, the first whose memory fits beside those that run. A run that
// is larger than all memory runs alone. Nothing: one must end first, or none waits.
std::optional<std::size_t> next_run(const std::vector<RunStatus>& status, const std::vector<std::int64_t>& memory,
                                    const std::vector<std::size_t>& order, const Capacity& capacity);

// All arms with one seed before the next seed: what arms share is made first, and a sweep that is stopped early has
// compared every arm.
std::vector<std::size_t> order_of_runs(const Sweep& sweep);

std::int64_t available_memory_bytes();  // of this machine now, inside this process's limits

}  // namespace espalier
