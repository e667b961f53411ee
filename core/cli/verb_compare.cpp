// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/cli/command_line.hpp"
#include "core/cli/eval_model.hpp"
#include "core/cli/measured_models.hpp"
#include "core/report/arms.hpp"
#include "core/report/comparison.hpp"
#include "core/report/speed_table.hpp"
#include "core/report/sweep_files.hpp"

namespace espalier {

namespace {

std::vector<RunRef> runs_of(const std::vector<std::string>& paths) {
  std::vector<RunRef> runs;
  for (const std::string& path : paths) {
    if (!is_sweep(path)) {
      runs.push_back(run_ref(path));
      continue;
    }
    const std::vector<RunRef> of_sweep = runs_of_sweep(path);
    runs.insert(runs.end(), of_sweep.begin(), of_sweep.end());
  }
  return runs;
}

CompareOptions options_of(const CommandLine& line, const std::vector<std::string>& paths) {
  CompareOptions options;
  if (paths.size() == 1 && is_sweep(paths.front())) options = options_of_sweep(paths.front());
  if (line.has("baseline")) options.baseline = line.get("baseline");
  options.all_pairs = line.has("all-pairs");
  options.level = line.real("level");
  if (!(options.level > 0.0 && options.level < 1.0))
    reject("--level: out of range; got {}; expected a share such as 0.95", options.level);
  return options;
}

}  // namespace

int verb_compare(const Arguments& arguments) {
  po::options_description own;
  // clang-format off
  own.add_options()
      ("baseline", po::value<std::string>(), "the arm that the others are compared with; default: the sweep's, or the first")
      ("all-pairs", "compare every arm with every other")
      ("level", po::value<double>()->default_value(0.95, "0.95"), "of all intervals together")
      ("report", po::value<std::string>(), "write the page to this file");
  // clang-format on
  add_data_options(own);
  add_speed_options(own);
  CommandLine line("compare", own, {"PATH..."});
  if (!line.parse(arguments)) return 0;
  const std::vector<std::string> paths = line.all("PATH");
  CompareOptions options = options_of(line, paths);
  std::vector<RunRef> runs = runs_of(paths);
  measure_models(line, runs);
  if (line.has("speed")) {
    name_arms(runs);
    options.speed = measure_speeds_of(line, runs);
    if (options.sweep.is_object()) write_json(SweepFiles{paths.front()}.speed(), options.speed);
  }
  const nlohmann::json comparison = compare(runs, options);
  if (options.sweep.is_object() && !line.has("data")) write_comparison(paths.front(), comparison);
  if (line.has("report")) write_page(line.get("report"), comparison);
  if (line.json()) {
    print_json(comparison);
  } else {
    std::cout << comparison_text(comparison);
    if (options.speed.is_object()) std::cout << "\n" << speed_text(options.speed);
  }
  return 0;
}

}  // namespace espalier
