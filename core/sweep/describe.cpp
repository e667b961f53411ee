// SPDX-License-Identifier: Apache-2.0
// What a sweep would do, and what it would cost.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "core/base/strings.hpp"
#include "core/sweep/schedule.hpp"
#include "core/sweep/sharing.hpp"
#include "core/sweep/sweep.hpp"
#include "core/sweep/up_to_date.hpp"

namespace espalier {
namespace {

std::string flops_text(double flops) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
  std::size_t unit = 0;
  for (; flops >= 1000.0 && unit + 1 < std::size(kUnits); ++unit) flops /= 1000.0;
  return fmt::format("{:.3g}{}FLOP", flops, unit == 0 ? " " : kUnits[unit]);
}

std::string bytes_text(std::int64_t bytes) { return human_bytes(static_cast<double>(bytes)); }

struct Estimate {
  std::vector<RunCost> costs;
  std::vector<bool> done;
  double left = 0.0;  // FLOPs of the runs that are not done
  std::optional<double> seconds;
};

Estimate estimate(const Sweep& sweep, const Registry& registry, const SweepOptions& options) {
  Estimate result;
  FinishedRuns finished(sweep.recipe.output, registry, options.device);
  for (const SweepRun& run : sweep.runs) {
    result.costs.push_back(predict(run.recipe, registry, options.compute));
    result.done.push_back(finished.has(run));
    if (!result.done.back()) result.left += result.costs.back().flops();
  }
  const std::optional<double> pace =
      known_pace(sweep, result.costs, options.compute.device, threads_of(sweep, options));
  // The pace is that of one run with its threads.
  if (pace) result.seconds = result.left / *pace / static_cast<double>(options.jobs);
  return result;
}

std::string match_text(const Sweep& sweep) {
  std::string text;
  for (const Matched& matched : sweep.matched) {
    const std::string under = sweep.recipe.many_teachers() ? " under " + matched.teacher : "";
    text += fmt::format("\nmatch{}: {} of {} ± {} %\n", under, matched.by, with_commas(std::llround(matched.target)),
                        matched.tolerance * 100.0);
    for (const auto& [arm, value] : matched.values)
      text += fmt::format("  {:<24} {:>16}  {:+.2f} %\n", arm, with_commas(std::llround(value)),
                          100.0 * (value - matched.target) / matched.target);
  }
  return text;
}

std::string runs_text(const Sweep& sweep, const Estimate& estimate) {
  std::string text =
      fmt::format("{:<32}{:>12}{:>14}{:>14}{:>14}{:>10}\n", "run", "tokens", "training", "scoring", "eval", "memory");
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    const RunCost& cost = estimate.costs[i];
    text += fmt::format("{:<32}{:>12}{:>14}{:>14}{:>14}{:>10}{}\n", sweep.runs[i].name,
                        human_count(static_cast<double>(cost.training_tokens)), flops_text(cost.training_flops),
                        flops_text(cost.scoring_flops), cost.counts_eval ? flops_text(cost.eval_flops) : "all data",
                        bytes_text(cost.memory), estimate.done[i] ? "  done" : "");
  }
  return text;
}

std::string cost_text(const Sweep& sweep, const Estimate& estimate, const SweepOptions& options) {
  const auto done = std::count(estimate.done.begin(), estimate.done.end(), true);
  const auto largest = std::max_element(estimate.costs.begin(), estimate.costs.end(),
                                        [](const RunCost& a, const RunCost& b) { return a.memory < b.memory; });
  std::string text = fmt::format("{} of {} runs are done; {} left, before what is shared; at most {} for a run\n", done,
                                 sweep.runs.size(), flops_text(estimate.left), bytes_text(largest->memory));
  text += fmt::format("{} at once, {} threads each\n",
                      options.jobs == 1 ? "one run" : fmt::format("{} runs", options.jobs), threads_of(sweep, options));
  text += estimate.seconds
              ? fmt::format("about {}, at the pace of runs that were timed\n", human_time(*estimate.seconds))
              : "how long that takes is not known: nothing was timed here yet\n";
  return text;
}

}  // namespace

std::string describe(const Sweep& sweep, const Registry& registry, const SweepOptions& options) {
  const Estimate all = estimate(sweep, registry, options);
  const std::string teachers =
      sweep.recipe.many_teachers() ? fmt::format(" × {} teachers", sweep.recipe.teachers.size()) : "";
  std::string text =
      fmt::format("{}: {} arms × {} seeds{} = {} runs in {}\n\n", sweep.recipe.name, sweep.recipe.arms.size(),
                  sweep.recipe.seeds.size(), teachers, sweep.runs.size(), sweep.recipe.output.string());
  text += runs_text(sweep, all) + "\n";
  text += fmt::format("{:<32}{:>12}{:>12}\n", "shared", "wanted", "made");
  for (const SharedWork& work : shared_work(sweep, registry))
    text += fmt::format("{:<32}{:>12}{:>12}\n", work.what, work.runs, work.times);
  text += match_text(sweep);
  text += "\nwhat the arms differ in\n" + differences_text(sweep.differences) + "\n";
  return text + cost_text(sweep, all, options);
}

nlohmann::json description(const Sweep& sweep, const Registry& registry, const SweepOptions& options) {
  const Estimate all = estimate(sweep, registry, options);
  std::vector<RunStatus> status(sweep.runs.size());
  for (std::size_t i = 0; i < status.size(); ++i) status[i].state = all.done[i] ? RunState::done : RunState::pending;
  nlohmann::json json = sweep_to_json(sweep, status, threads_of(sweep, options));
  for (std::size_t i = 0; i < sweep.runs.size(); ++i) {
    const RunCost& cost = all.costs[i];
    json["runs"][i]["cost"] = {{"training_tokens", cost.training_tokens},
                               {"training_flops", cost.training_flops},
                               {"scoring_flops", cost.scoring_flops},
                               {"eval_flops", cost.counts_eval ? nlohmann::json(cost.eval_flops) : nlohmann::json()},
                               {"memory", cost.memory}};
  }
  json["shared"] = nlohmann::json::array();
  for (const SharedWork& work : shared_work(sweep, registry))
    json["shared"].push_back({{"what", work.what}, {"runs", work.runs}, {"times", work.times}});
  json["seconds"] = all.seconds ? nlohmann::json(*all.seconds) : nlohmann::json();
  return json;
}

}  // namespace espalier
