// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/cli/eval_model.hpp"
#include "core/cli/measured_models.hpp"
#include "core/report/recipes.hpp"
#include "core/run/device.hpp"
#include "core/run/run.hpp"

namespace espalier {

namespace {

// Models of one name are measured once: of an arm's runs, which have one shape, the first.
void add_once(std::vector<EvalModel>& models, const std::string& name, const fs::path& folder) {
  if (std::any_of(models.begin(), models.end(), [&](const EvalModel& model) { return model.name == name; })) return;
  models.push_back({name, Checkpoint(checkpoint_folder(folder)), "bytes"});
}

}  // namespace

nlohmann::json measure_speeds_of(const CommandLine& line, const std::vector<RunRef>& runs) {
  check_speed_options(line);
  const Compute compute = open_device(line.device());
  std::vector<EvalModel> models;
  for (const RunRef& run : runs) {
    if (run.state != "done") continue;
    const std::optional<RunRecipe> recipe = read_run_recipe(run.folder);
    if (recipe && !recipe->teacher.empty()) add_once(models, "teacher:" + run.teacher, recipe->teacher);
  }
  for (const RunRef& run : runs) {
    if (run.state == "done") add_once(models, run.arm, run.folder);
  }
  if (models.empty()) return nullptr;
  return measure_speeds(line, models, compute, {});
}

}  // namespace espalier
