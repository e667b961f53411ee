// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/base/progress.hpp"
#include "core/sweep/cost.hpp"
#include "core/sweep/sweep_file.hpp"

namespace espalier {

// A bar over all training steps of a sweep, read from the logs of the runs. On a terminal only: elsewhere each run that
// ends is a line.
class SweepProgress {
 public:
  SweepProgress(const Sweep& sweep, const std::vector<RunCost>& costs, const std::vector<RunStatus>& status);
  void update(const std::vector<RunStatus>& status);
  void clear() const;  // so that a line can be printed; the next update draws again

 private:
  std::int64_t steps_done(const std::vector<RunStatus>& status) const;
  const Sweep& sweep_;
  const std::vector<RunCost>& costs_;
  bool terminal_;
  std::int64_t total_ = 0, at_start_ = 0;
  std::unique_ptr<ProgressBar> bar_;
};

// The step in the last line of a metrics.jsonl; 0 when there is none.
std::int64_t last_step(const fs::path& metrics);

}  // namespace espalier
