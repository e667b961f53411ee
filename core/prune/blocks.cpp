// SPDX-License-Identifier: Apache-2.0
#include "core/prune/blocks.hpp"

#include <algorithm>

#include "core/model/layer_axis.hpp"

namespace espalier {

ModelSpec without_blocks(const Plan& plan) {
  ModelSpec spec = plan.teacher;
  for (const AxisSelection& selection : plan.selections) {
    if (!is_layers(selection.info) || selection.info.part == Part::whole) continue;
    const Indices layers = layers_with(plan.teacher, selection.info.part);
    const Indices& kept = selection.kept.kept.front();
    for (std::size_t unit = 0; unit < layers.size(); ++unit) {
      if (std::binary_search(kept.begin(), kept.end(), static_cast<std::int64_t>(unit))) continue;
      turn_off(spec.layers[static_cast<std::size_t>(layers[unit])], selection.info.part);
    }
  }
  return spec;
}

}  // namespace espalier
