// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/sweep_file.hpp"

#include "core/run/run_files.hpp"

namespace espalier {
namespace {

using nlohmann::json;

json number(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? json(whole) : json(value);
}

json values_of(const Matched& matched) {
  json values = json::object();
  for (const auto& [arm, value] : matched.values) values[arm] = number(value);
  return values;
}

// Under several teachers the numbers may differ; those at the top are the first one's.
json match_to_json(const std::vector<Matched>& matched) {
  if (matched.empty()) return nullptr;
  const Matched& first = matched.front();
  json result = {
      {"by", first.by}, {"tolerance", first.tolerance}, {"target", number(first.target)}, {"values", values_of(first)}};
  for (const Matched& each : matched) {
    if (matched.size() > 1)
      result["teachers"][each.teacher] = {{"target", number(each.target)}, {"values", values_of(each)}};
  }
  return result;
}

json differences_to_json(const std::vector<Difference>& differences) {
  json result = json::array();
  for (const Difference& difference : differences) {
    json values = json::object();
    for (const auto& [arm, value] : difference.values) values[arm] = value;
    result.push_back({{"key", difference.key}, {"values", std::move(values)}});
  }
  return result;
}

}  // namespace

std::string name_of(RunState state) {
  switch (state) {
    case RunState::pending:
      return "pending";
    case RunState::running:
      return "running";
    case RunState::done:
      return "done";
    case RunState::failed:
      break;
  }
  return "failed";
}

json sweep_to_json(const Sweep& sweep, const std::vector<RunStatus>& status, int threads) {
  json arms = json::array(), teachers = json::array(), runs = json::array();
  for (const ArmRecipe& arm : sweep.recipe.arms) arms.push_back(arm.arm.name);
  for (const SweepTeacher& teacher : sweep.recipe.teachers)
    teachers.push_back({{"name", teacher.name}, {"path", teacher.path.string()}});
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    const SweepRun& run = sweep.runs[i];
    runs.push_back({{"name", run.name},
                    {"folder", run.name},
                    {"arm", run.arm},
                    {"seed", run.seed},
                    {"teacher", run.teacher},
                    {"state", name_of(status[i].state)},
                    {"error", status[i].error}});
  }
  return {{"schema", 1},
          {"name", sweep.recipe.name},
          {"baseline", sweep.recipe.baseline},
          {"arms", std::move(arms)},
          {"seeds", sweep.recipe.seeds},
          {"teachers", std::move(teachers)},
          {"threads", threads},
          {"match", match_to_json(sweep.matched)},
          {"differences", differences_to_json(sweep.differences)},
          {"runs", std::move(runs)}};
}

int recorded_threads(const fs::path& folder) {
  const fs::path path = folder / kSweepFile;
  if (!fs::exists(path)) return 0;
  const json sweep = read_json(path);
  return sweep.is_object() ? sweep.value("threads", 0) : 0;
}

}  // namespace espalier
