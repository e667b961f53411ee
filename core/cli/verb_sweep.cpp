// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/strings.hpp"
#include "core/cli/command_line.hpp"
#include "core/plugin/loader.hpp"
#include "core/run/device.hpp"
#include "core/run/run_files.hpp"
#include "core/sweep/sweep.hpp"

namespace espalier {

namespace {

struct LoadedSweep {
  Sweep sweep;
  std::unique_ptr<Registry> registry;
  Compute compute;
};

// The runs compute; this process counts, and needs a GPU for nothing but to measure throughput on it.
Compute compute_of(const CommandLine& line, const SweepRecipe& recipe) {
  const bool measures = recipe.sweep.match && bound_of(recipe.sweep.match->budget, {}).is_measured();
  if (line.device() == "cuda" && !measures) return {at::kBFloat16, at::kCUDA};
  return open_device(line.device());
}

// As load_recipe does for one recipe, for all arms at once.
LoadedSweep load_sweep(const CommandLine& line) {
  const std::string file = line.all("RECIPE").front();
  Diagnostics diagnostics;
  SweepRecipe recipe = parse_sweep(file, line.overrides(), diagnostics);
  auto registry = std::make_unique<Registry>();
  load_plugins(recipe.plugins, *registry, diagnostics);
  for (const ArmRecipe& arm : recipe.arms) check_components(arm.recipe, *registry, diagnostics);
  diagnostics.throw_if_any();
  const Compute compute = compute_of(line, recipe);
  Sweep sweep = expand(std::move(recipe), *registry, compute);
  return {std::move(sweep), std::move(registry), compute};
}

SweepOptions options_of(const CommandLine& line, Compute compute) {
  SweepOptions options;
  options.compute = compute;
  options.jobs = line.number("jobs");
  if (options.jobs < 1 || options.jobs > 1024) reject("--jobs: out of range; got {}; expected 1 to 1024", options.jobs);
  options.threads = line.number("threads");
  options.device = line.device();
  if (!line.has("memory")) return options;
  try {
    options.memory = parse_bytes(line.get("memory"));
  } catch (const Error&) {
    reject("--memory: not a size; got '{}'; expected a size such as 16GB", line.get("memory"));
  }
  return options;
}

void say_failures(const Sweep& sweep, const SweepResult& result) {
  std::string text;
  for (std::size_t i = 0; i < result.status.size(); ++i) {
    if (result.status[i].state == RunState::failed)
      text += fmt::format("\n  {}: {}", sweep.runs[i].name, result.status[i].error);
  }
  const std::int64_t failed = result.failed();
  fail("{} of {} runs failed; run the same command again to try {} again{}", failed, result.status.size(),
       failed == 1 ? "it" : "them", text);
}

}  // namespace

int verb_sweep(const Arguments& arguments) {
  po::options_description own;
  own.add_options()("dry-run", "list the runs, what they share, and what they will cost")(
      "jobs", po::value<std::int64_t>()->default_value(1), "runs at once, as far as their memory allows")(
      "memory", po::value<std::string>(),
      "what runs at once may need together on the device, such as 16GB; default: 80 % of what is free");
  CommandLine line("sweep", own, {"RECIPE"});
  if (!line.parse(arguments)) return 0;
  const LoadedSweep loaded = load_sweep(line);
  const SweepOptions options = options_of(line, loaded.compute);
  if (line.has("dry-run")) {
    if (line.json()) {
      print_json(description(loaded.sweep, *loaded.registry, options));
    } else {
      std::cout << describe(loaded.sweep, *loaded.registry, options);
    }
    return 0;
  }
  watch_signals();
  const SweepResult result = run_sweep(loaded.sweep, *loaded.registry, options);
  const fs::path& folder = loaded.sweep.recipe.output;
  if (line.json()) {
    nlohmann::json json = read_json(folder / kSweepFile);
    json["folder"] = folder.string();
    json["runs_started"] = result.started;
    print_json(json);
  } else {
    std::cout << result.text;
  }
  if (result.failed() > 0) say_failures(loaded.sweep, result);
  if (result.started == 0)
    spdlog::info("{}: nothing to do, every run is up to date", folder.string());
  else
    spdlog::info("{}: done", folder.string());
  return 0;
}

}  // namespace espalier
