// SPDX-License-Identifier: Apache-2.0
#include "core/report/sweep_files.hpp"

#include "core/base/error.hpp"
#include "core/report/page.hpp"

namespace espalier {

using nlohmann::json;

bool is_sweep(const fs::path& folder) { return fs::exists(SweepFiles{folder}.sweep()); }

json read_sweep(const fs::path& folder) {
  const fs::path path = SweepFiles{folder}.sweep();
  json sweep = read_json(path);
  if (!sweep.is_object() || sweep.value("schema", 0) != 1)
    fail("{}: not a sweep of ours; expected an object with \"schema\": 1", path.string());
  if (!sweep.contains("runs") || !sweep["runs"].is_array()) fail("{}: damaged; expected a list of runs", path.string());
  return sweep;
}

std::vector<RunRef> runs_of_sweep(const fs::path& folder) {
  const json sweep = read_sweep(folder);
  std::vector<RunRef> runs;
  try {
    for (const json& entry : sweep["runs"]) {
      RunRef run;
      run.name = entry.at("name").get<std::string>();
      run.folder = folder / entry.at("folder").get<std::string>();
      run.arm = entry.at("arm").get<std::string>();
      run.seed = entry.at("seed").get<std::int64_t>();
      run.teacher = entry.value("teacher", "");
      run.state = entry.value("state", "done");
      run.error = entry.value("error", "");
      runs.push_back(std::move(run));
    }
  } catch (const json::exception& error) {
    fail("{}: damaged; got {}", SweepFiles{folder}.sweep().string(), error.what());
  }
  return runs;
}

void write_comparison(const fs::path& sweep, const json& comparison) {
  const SweepFiles files{sweep};
  write_json(files.comparison(), comparison);
  write_page(files.page(), comparison);
}

void write_page(const fs::path& path, const json& comparison) { write_text(path, report_page(comparison)); }

}  // namespace espalier
