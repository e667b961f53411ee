// SPDX-License-Identifier: Apache-2.0
// run, score, prune and distill: the same pipeline, to the end or up to a stage.
#include <ATen/Parallel.h>

#include <iostream>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/cli/command_line.hpp"
#include "core/cli/ranks.hpp"
#include "core/run/lock.hpp"
#include "core/run/pipeline.hpp"
#include "core/run/scores.hpp"
#include "core/run/stages.hpp"
#include "core/run/training_check.hpp"
#include "core/run/training_memory.hpp"

namespace espalier {

namespace {

nlohmann::json result_json(const Run& run, int executed) {
  nlohmann::json json = {{"run", run.files().root.string()}, {"stages_run", executed}};
  if (fs::exists(run.files().eval())) json["eval"] = read_json(run.files().eval());
  if (fs::exists(run.files().exported())) json["export"] = run.files().exported().string();
  return json;
}

LoadedRecipe checked_recipe(const CommandLine& line, const std::string& last) {
  LoadedRecipe loaded = load_recipe(line.all("RECIPE").front(), line.overrides());
  if (loaded.recipe.prune.empty() && (last == "score" || last == "verify")) {
    reject("{}: nothing to prune; expected at least one [[prune]]", loaded.recipe.file.string());
  }
  if (!loaded.recipe.distill && last == "distill")
    reject("{}: nothing to distil; expected [distill]", loaded.recipe.file.string());
  return loaded;
}

void say_result(const CommandLine& line, const Run& run, int executed) {
  if (line.json()) {
    print_json(result_json(run, executed));
  } else if (executed == 0) {
    spdlog::info("{}: nothing to do, every stage is up to date", run.files().root.string());
  } else {
    spdlog::info("{}: done", run.files().root.string());
  }
}

int run_recipe(const CommandLine& line, const std::string& last, Compute compute, Comm& comm) {
  // Rank 0's, so that all compute alike and look for caches under the same name.
  at::set_num_threads(static_cast<int>(found_by_leader(comm, [] { return 1.0 * at::get_num_threads(); })));
  LoadedRecipe loaded;
  std::optional<Run> run;
  leader_first(comm, [&] {
    loaded = checked_recipe(line, last);
    run.emplace(std::move(loaded.recipe), *loaded.registry, compute, comm);
    // Sizes that no axis can give, metrics that cannot score theirs, losses that do not suit the models, and batches
    // that do not suit the ranks are told before anything heavy.
    const ModelSpec student = plan_from_config(*run).student;
    check_training(*run, student);
    check_training_memory(*run, student);
    check_jobs(*run);
  });
  if (line.has("dry-run")) {
    if (comm.leads())
      std::cout << resolved_recipe(run->recipe(), run->registry()) << "\n" << describe_pipeline(run->recipe(), last);
    return 0;
  }
  watch_signals();
  spdlog::info("{}", resolved_recipe(run->recipe(), run->registry()));
  if (!comm.alone()) spdlog::info("{} ranks, {} threads each", comm.size(), at::get_num_threads());
  const int executed = run_pipeline(*run, last);
  if (comm.leads()) say_result(line, *run, executed);
  return 0;
}

int run_up_to(const char* verb, const std::string& last, const Arguments& arguments) {
  po::options_description own;
  own.add_options()("dry-run", "check the recipe and list what would be done");
  CommandLine line(verb, own, {"RECIPE"});
  if (!line.parse(arguments)) return 0;
  return on_all_ranks(line.device(),
                      [&](Compute compute, Comm& comm) { return run_recipe(line, last, compute, comm); });
}

}  // namespace

int verb_run(const Arguments& arguments) { return run_up_to("run", "", arguments); }
int verb_score(const Arguments& arguments) { return run_up_to("score", "score", arguments); }
int verb_prune(const Arguments& arguments) { return run_up_to("prune", "verify", arguments); }
int verb_distill(const Arguments& arguments) { return run_up_to("distill", "distill", arguments); }

}  // namespace espalier
