// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/schedule.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>

#include "core/base/memory.hpp"

namespace espalier {

std::optional<Placed> next_run(const std::vector<RunStatus>& status, const std::vector<std::int64_t>& memory,
                               const std::vector<std::size_t>& order, const Capacity& capacity) {
  struct Device {
    std::size_t index;
    std::int64_t running = 0, used = 0;
  };
  std::vector<Device> devices;
  for (std::size_t i = 0; i < capacity.memory.size(); ++i) devices.push_back({i});
  std::int64_t running = 0;
  for (std::size_t i = 0; i < status.size(); ++i) {
    if (status[i].state != RunState::running) continue;
    ++running;
    ++devices[status[i].device].running;
    devices[status[i].device].used += memory[i];
  }
  if (running >= capacity.jobs) return std::nullopt;
  std::stable_sort(devices.begin(), devices.end(),
                   [](const Device& a, const Device& b) { return a.running < b.running; });
  const auto largest = std::max_element(capacity.memory.begin(), capacity.memory.end());
  for (const Device& device : devices) {
    for (const std::size_t run : order) {
      if (status[run].state != RunState::pending) continue;
      const std::int64_t all = capacity.memory[device.index];
      const bool alone = device.running == 0 && memory[run] > *largest && all == *largest;
      if (alone || device.used + memory[run] <= all) return Placed{run, device.index};
    }
  }
  return std::nullopt;
}

std::vector<std::size_t> order_of_runs(const Sweep& sweep) {
  std::vector<std::size_t> order(sweep.runs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::vector<std::uint64_t>& seeds = sweep.recipe.seeds;
  const auto rank = [&](std::size_t run) {
    return std::find(seeds.begin(), seeds.end(), sweep.runs[run].seed) - seeds.begin();
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
  return order;
}

std::int64_t available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  std::int64_t kilobytes = 0;
  while (file >> key >> kilobytes) {
    std::getline(file, unit);
    if (key == "MemAvailable:") return std::min(kilobytes * 1024, physical_memory_bytes());
  }
  return physical_memory_bytes();
}

}  // namespace espalier
