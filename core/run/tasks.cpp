// SPDX-License-Identifier: Apache-2.0
#include "core/run/tasks.hpp"

#include "core/base/digest.hpp"
#include "core/importance/job.hpp"

namespace espalier {

TaskSource source_of(const Run& run, const TaskBlock& task) {
  return {task.name, task.path, task.shots, run.recipe().seed};
}

TaskSource source_of(const Run& run, const TaskNeeds& task) {
  return {task_name_of(task.file), task.file, task.shots, run.recipe().seed};
}

std::vector<TaskSource> tasks_of(const Run& run) {
  const Recipe& recipe = run.recipe();
  std::vector<TaskSource> tasks;
  for (const TaskBlock& task : recipe.eval.tasks) tasks.push_back(source_of(run, task));
  for (std::size_t block = 0; block < recipe.prune.size(); ++block) {
    const Needs needs =
        needs_of(make_job(run.registry(), recipe.prune[block].axis, recipe.prune[block].metric, run.host()));
    if (needs.evidence != Evidence::task) continue;
    tasks.push_back(source_of(run, needs.task));
  }
  return tasks;
}

void check_tasks(const Run& run) {
  for (const TaskSource& task : tasks_of(run)) read_items(task);
}

std::string task_digest(const TaskSource& task, const Tokenizer& tokenizer) {
  Digest digest;
  digest.add(digest_of_file(task.file)).add(fmt::format("{} {}", task.shots, task.seed)).add(tokenizer.digest);
  return digest.hex();
}

}  // namespace espalier
