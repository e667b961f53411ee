// SPDX-License-Identifier: Apache-2.0
#include "core/run/lock.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/run/tasks.hpp"

namespace espalier {

namespace {

std::map<std::string, std::string> digests_of(Run& run) {
  std::map<std::string, std::string> digests;
  for (const PluginInfo& plugin : run.registry().plugins())
    digests["plugin " + plugin.name] = digest_of_file(plugin.path);
  if (!run.recipe().teacher.spec) digests["teacher"] = run.given_teacher().digest();
  if (run.recipe().has_distill_teacher()) digests["distill teacher"] = run.distill_teacher().digest();
  const DataBlock& data = run.recipe().data;
  if (!data.train.empty()) digests["data train"] = run.data_digest(DataPart::train);
  if (!run.data(DataPart::valid).empty()) digests["data valid"] = run.data_digest(DataPart::valid);
  for (const TaskSource& task : tasks_of(run)) digests["task " + task.file.string()] = digest_of_file(task.file);
  for (const char* stage : {"score", "search", "slice", "export"}) {
    if (const std::string output = run.output_of(stage); !output.empty()) digests[stage] = output;
  }
  return digests;
}

}  // namespace

std::string resolved_recipe(const Recipe& recipe, const Registry& registry) {
  Recipe plain = recipe;
  plain.locked.clear();  // a lock that is run is locked anew
  return to_toml(plain, [&](const ComponentBlock& block) { return registry.describe(block).fields; });
}

void write_lock(Run& run) {
  const std::map<std::string, std::string> digests = digests_of(run);
  for (const auto& [what, promised] : run.recipe().locked) {
    const auto found = digests.find(what);
    if (found != digests.end() && found->second != promised) {
      reject("{}: [lock] {} is not what was locked; got {}; expected {}", run.recipe().file.string(), what,
             found->second, promised);
    }
  }
  std::string text = resolved_recipe(run.recipe(), run.registry());
  text += "\n[lock]\n";
  for (const auto& [what, digest] : digests) text += fmt::format("\"{}\" = \"{}\"\n", what, digest);
  write_text(run.files().lock(), text);
}

}  // namespace espalier
