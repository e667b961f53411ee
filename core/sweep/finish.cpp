// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/finish.hpp"

#include <algorithm>

#include "core/report/comparison.hpp"
#include "core/report/sweep_files.hpp"
#include "core/run/run_files.hpp"

namespace espalier {

namespace {

bool has_eval(const SweepRun& run) { return fs::exists(RunFiles{run.recipe.output}.eval()); }

// Of runs that measured nothing: how they ended.
std::string list_of_runs(const Sweep& sweep, const std::vector<RunStatus>& status) {
  std::string text;
  for (std::size_t i = 0; i < sweep.runs.size(); ++i)
    text += fmt::format("{:<32}{}\n", sweep.runs[i].name, name_of(status[i].state));
  return text;
}

}  // namespace

std::string finish(const Sweep& sweep, const std::vector<RunStatus>& status) {
  std::int64_t done = 0, measured = 0;
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    if (status[i].state != RunState::done) continue;
    ++done;
    if (has_eval(sweep.runs[i])) ++measured;
  }
  if (done == 0 || measured < done) return list_of_runs(sweep, status);
  const fs::path& folder = sweep.recipe.output;
  const nlohmann::json comparison = compare(runs_of_sweep(folder), options_of_sweep(folder));
  write_comparison(folder, comparison);
  return comparison_text(comparison) + "\nreport: " + SweepFiles{folder}.page().string() + "\n";
}

}  // namespace espalier
