// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "core/report/arms.hpp"

namespace espalier {

// `curves` of comparison.json: training loss of every run from its metrics.jsonl, at most 200 points a run, each the
// mean of the steps since the one before; `terms`: what the loss is made of. Arms that did not train are left out.
nlohmann::json curves_of(const std::vector<Arm>& arms);

}  // namespace espalier
