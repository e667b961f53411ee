// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/finish.hpp"

#include "core/run/run_files.hpp"

namespace espalier {

std::string finish(const Sweep& sweep, const std::vector<RunStatus>& status) {
  std::string text;
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    const SweepRun& run = sweep.runs[i];
    text += fmt::format("{:<32}{:<8}", run.name, name_of(status[i].state));
    const RunFiles files{run.recipe.output};
    if (status[i].state == RunState::done && fs::exists(files.eval())) {
      const nlohmann::json eval = read_json(files.eval());
      if (eval.contains("nll") && eval["nll"].is_number()) text += fmt::format("nll {:.4f}", eval["nll"].get<double>());
    }
    text += "\n";
  }
  return text;
}

}  // namespace espalier
