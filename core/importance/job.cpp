// SPDX-License-Identifier: Apache-2.0
#include "core/importance/job.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/importance/readers.hpp"
#include "core/importance/units.hpp"
#include "core/recipe/value_json.hpp"

namespace espalier {
namespace {

std::string resolved_options(const Registry& registry, const ComponentBlock& block) {
  nlohmann::json options = nlohmann::json::object();
  for (const FieldInfo& field : registry.describe(block).fields) {
    const Value* given = block.find(field.name);
    nlohmann::json value = to_json(given ? *given : field.fallback);
    // 2 and 2.0 are the same option.
    if (field.type == "real" && value.is_number_integer()) value = value.get<double>();
    options[field.name] = std::move(value);
  }
  return options.dump();
}

const char* name_of(Evidence evidence) {
  constexpr const char* names[] = {"none", "activations", "block_io", "weights", "probe", "gradients", "task"};
  return names[static_cast<int>(evidence)];
}

void check_readers(const ScoreJob& job, const Needs& needs) {
  if (needs.evidence != Evidence::activations) {
    fail("metric '{}' (plugin {}) asks for readers of axis '{}' beside {}; expected them beside activations",
         job.metric, job.plugin, job.axis.name, name_of(needs.evidence));
  }
  const std::vector<Tap> read = read_taps();
  if (std::find(read.begin(), read.end(), needs.tap) != read.end()) return;
  std::vector<std::string> choices;
  for (const Tap tap : read) choices.push_back(fmt::format("'{}'", espalier::name_of(tap)));
  fail("metric '{}' (plugin {}) asks for the readers of a tap that no matrix reads; got '{}'; expected one of {}",
       job.metric, job.plugin, espalier::name_of(needs.tap), fmt::join(choices, ", "));
}

// Can this kind of evidence be had of runs of the axis's units?
void check_runs(const ScoreJob& job, const Needs& needs) {
  const Evidence evidence = needs.evidence;
  if (evidence != Evidence::block_io && evidence != Evidence::probe && evidence != Evidence::task) {
    fail("metric '{}' (plugin {}) asks for runs of axis '{}' with {}; expected block_io, probe or task", job.metric,
         job.plugin, job.axis.name, name_of(evidence));
  }
  // From the input of a run's first block to the output of its last there are blocks that stay.
  if (evidence == Evidence::block_io && job.axis.part != Part::whole) {
    fail(
        "metric '{}' (plugin {}) asks for block_io of runs of axis '{}', whose units are the {}s of layers; expected "
        "probe or task, or an axis of whole layers",
        job.metric, job.plugin, job.axis.name, name_of(job.axis.part));
  }
}

}  // namespace

ScoreJob make_job(const Registry& registry, const Component& axis, const Component& metric, const Host& host) {
  ScoreJob job;
  job.axis = registry.axis(*axis, host)->describe();
  job.make_metric = [&registry, metric, &host] { return registry.metric(*metric, host); };
  job.metric = metric->name;
  const PluginInfo plugin = registry.describe(*metric).plugin;
  job.plugin = plugin.name + " " + plugin.version;
  job.options = resolved_options(registry, *metric);
  return job;
}

Needs needs_of(const ScoreJob& job) {
  const Needs needs = job.make_metric()->needs(job.axis);
  const bool layers_only =
      needs.evidence == Evidence::block_io || needs.evidence == Evidence::probe || needs.evidence == Evidence::task;
  if (layers_only && !is_layers(job.axis)) {
    fail("metric '{}' (plugin {}) asks for {} of axis '{}', which only an axis of layers can give", job.metric,
         job.plugin, name_of(needs.evidence), job.axis.name);
  }
  if (needs.runs && job.axis.one_run) check_runs(job, needs);
  if (needs.evidence == Evidence::task && needs.task.file.empty()) {
    reject("metric '{}' (plugin {}) names no task; got ''; expected a file of choice tasks, .jsonl", job.metric,
           job.plugin);
  }
  const std::vector<Tap>& taps = job.axis.taps;
  if (sees_tap(needs, job.axis) && std::find(taps.begin(), taps.end(), needs.tap) == taps.end()) {
    fail("metric '{}' (plugin {}) asks for tap '{}', which is not one of axis '{}'", job.metric, job.plugin,
         espalier::name_of(needs.tap), job.axis.name);
  }
  if (needs.readers) check_readers(job, needs);
  return needs;
}

bool sees_tap(const Needs& needs, const AxisInfo& axis) {
  return needs.evidence == Evidence::activations || (needs.evidence == Evidence::gradients && !is_layers(axis));
}

bool scores_runs(const ScoreJob& job) { return job.axis.one_run && needs_of(job).runs; }

bool needs_data(const ScoreJob& job) {
  const Evidence evidence = needs_of(job).evidence;
  return evidence != Evidence::none && evidence != Evidence::weights && evidence != Evidence::task;
}

}  // namespace espalier
