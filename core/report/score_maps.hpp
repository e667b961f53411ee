// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "core/report/arms.hpp"

namespace espalier {

// `scores` of comparison.json: of each arm's first run and each axis the scores that it was first cut by, and what the
// plan keeps, in rows of the teacher's layers (one row when the axis is shared). Wide rows are shown in bins of `bin`
// units: the mean score, and the share that is kept. Error when a file is damaged.
nlohmann::json score_maps_of(const std::vector<Arm>& arms);

}  // namespace espalier
