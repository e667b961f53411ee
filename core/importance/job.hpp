// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/plugin/registry.hpp"
#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/metric.hpp"

namespace espalier {

// One thing to score: the units of an axis, by a metric with its options.
struct ScoreJob {
  AxisInfo axis;
  std::function<std::unique_ptr<ImportanceMetric>()> make_metric;
  std::string metric;   // the name it is registered under
  std::string plugin;   // "importance 0.1.0", for messages
  std::string options;  // every option with its value, as JSON
  // Of an axis whose removed units are one run: how many those are, 1 or more. Known from the target alone.
  std::int64_t run = 1;
  // Equal jobs have equal scores and are computed once.
  bool same_as(const ScoreJob& other) const {
    return axis.name == other.axis.name && axis.part == other.axis.part && axis.one_run == other.axis.one_run &&
           run == other.run && metric == other.metric && options == other.options;
  }
};

// The blocks of a recipe as a job. `registry` and `host` outlive it. Unknown names and bad options throw as the
// registry says.
ScoreJob make_job(const Registry& registry, const Component& axis, const Component& metric, const Host& host);

// What the job's metric asks for on its axis. Throws what the metric says when it cannot score the axis, and Error when
// it asks for evidence that the axis cannot give.
Needs needs_of(const ScoreJob& job);

// Does such a metric see the axis's units at a tap of the forward pass?
bool sees_tap(const Needs& needs, const AxisInfo& axis);

// Are its scores those of whole runs of units?
bool scores_runs(const ScoreJob& job);

// Does the job look at calibration data? A choice task is none.
bool needs_data(const ScoreJob& job);

}  // namespace espalier
