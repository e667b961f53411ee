// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/data/tokenizer.hpp"
#include "core/eval/choice_task.hpp"
#include "core/run/run.hpp"
#include "espalier/sdk/metric.hpp"

namespace espalier {

// Every choice task that a run reads: those of [eval], then those that metrics ask for. A file may come twice.
std::vector<TaskSource> tasks_of(const Run& run);

// Reads them: an error in a task of the last stage would come late.
void check_tasks(const Run& run);

TaskSource source_of(const Run& run, const TaskBlock& task);
TaskSource source_of(const Run& run, const TaskNeeds& task);

// All that decides a task's rows, but the model.
std::string task_digest(const TaskSource& task, const Tokenizer& tokenizer);

}  // namespace espalier
