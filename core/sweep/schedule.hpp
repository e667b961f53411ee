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
  std::int64_t jobs = 1;             // runs at once
  std::vector<std::int64_t> memory;  // bytes of each device that runs on it may need together; the CPU is one device
};

struct Placed {
  std::size_t run = 0, device = 0;
  bool operator==(const Placed&) const = default;
};

// The run to start now, and where: on the device with the fewest runs at work the first of those that wait, in `order`,
// whose memory fits beside them; else on the next device. A run that is larger than any device's memory has the largest
// one for itself. Nothing: one must end first, or none waits.
std::optional<Placed> next_run(const std::vector<RunStatus>& status, const std::vector<std::int64_t>& memory,
                               const std::vector<std::size_t>& order, const Capacity& capacity);

// All arms with one seed before the next seed: what arms share is made first, and a sweep that is stopped early has
// compared every arm.
std::vector<std::size_t> order_of_runs(const Sweep& sweep);

std::int64_t available_memory_bytes();  // of this machine now, inside this process's limits

}  // namespace espalier
