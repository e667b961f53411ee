// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "espalier/sdk/abi.hpp"

namespace espalier {
inline namespace abi_2 {

// Where a training run stands when a step is about to be taken.
struct Progress {
  std::int64_t step = 0;          // 0 before the first step
  std::int64_t steps = 0;         // of the whole run
  std::int64_t tokens = 0;        // seen so far
  std::int64_t total_tokens = 0;  // of the whole run
};

// How a rate moves over a run. A pure function of the progress: after a resume it gives the same values.
class ESPALIER_SDK_VISIBLE Scheduler {
 public:
  Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  virtual ~Scheduler() = default;

  // The learning rate of the step that comes next; finite and not negative.
  virtual double at(const Progress& progress) const = 0;
};

}  // namespace abi_2
}  // namespace espalier
