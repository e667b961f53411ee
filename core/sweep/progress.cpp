// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "core/base/strings.hpp"
#include "core/run/run_files.hpp"

namespace espalier {

std::int64_t last_step(const fs::path& metrics) {
  constexpr std::int64_t kTail = 8192;
  std::ifstream file(metrics, std::ios::binary | std::ios::ate);
  if (!file) return 0;
  const auto size = static_cast<std::int64_t>(file.tellg());
  file.seekg(std::max<std::int64_t>(0, size - kTail));
  std::string line;
  std::int64_t step = 0;
  while (std::getline(file, line)) {  // the first may be half a line, and the last half written
    const nlohmann::json row = nlohmann::json::parse(line, nullptr, false);
    if (row.is_object()) step = row.value("step", step);
  }
  return step;
}

SweepProgress::SweepProgress(const Sweep& sweep, const std::vector<RunCost>& costs,
                             const std::vector<RunStatus>& status)
    : sweep_(sweep), costs_(costs), terminal_(::isatty(STDERR_FILENO) == 1) {
  for (const RunCost& cost : costs) total_ += cost.training_steps;
  at_start_ = steps_done(status);
}

std::int64_t SweepProgress::steps_done(const std::vector<RunStatus>& status) const {
  std::int64_t done = 0;
  for (std::size_t i = 0; i < status.size(); ++i) {
    const RunFiles files{sweep_.runs[i].recipe.output};
    const bool ended = status[i].state == RunState::done || status[i].state == RunState::failed;
    done += ended ? costs_[i].training_steps
                  : std::min(costs_[i].training_steps,
                             last_step(files.metrics()) + last_step(files.root / "metrics.correct.jsonl"));
  }
  return done;
}

void SweepProgress::update(const std::vector<RunStatus>& status) {
  if (!terminal_ || total_ == 0) return;
  if (!bar_) bar_ = std::make_unique<ProgressBar>(sweep_.recipe.name, total_, at_start_);
  const auto count = [&](RunState state) {
    return std::count_if(status.begin(), status.end(), [&](const RunStatus& run) { return run.state == state; });
  };
  bar_->update(steps_done(status),
               fmt::format("{} of {} runs, {} at work", count(RunState::done) + count(RunState::failed), status.size(),
                           count(RunState::running)));
}

void SweepProgress::clear() const {
  if (bar_) std::fputs("\r\033[K", stderr);
}

}  // namespace espalier
