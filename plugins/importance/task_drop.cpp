// SPDX-License-Identifier: Apache-2.0
#include "task_drop.hpp"

#include "state.hpp"

namespace espalier::plugins {

Needs TaskDrop::needs(const AxisInfo& axis) const {
  require_layers(name(), axis);
  Needs needs;
  needs.evidence = Evidence::task;
  needs.runs = true;
  needs.task = {options_.file, options_.shots, options_.length_normalised};
  return needs;
}

void TaskDrop::observe(const Observation& observation) {
  add(observation.unit, observation.base_accuracy - observation.accuracy, 1);
}

}  // namespace espalier::plugins
