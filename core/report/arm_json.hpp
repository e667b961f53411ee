// SPDX-License-Identifier: Apache-2.0
// Arms and runs as comparison.json has them: numbers of one model, averaged over the runs of an arm.
#pragma once

#include <nlohmann/json.hpp>

#include "core/report/arms.hpp"

namespace espalier {

// `level`: of the interval of an arm's mean over its seeds; null with one. `speed`: speed.json or null.
nlohmann::json arm_to_json(const Arm& arm, double level, const nlohmann::json& speed);
nlohmann::json run_to_json(const RunRecord& run);

// One entry of `teachers` for each that taught some arm, in the order in which they come.
nlohmann::json teachers_to_json(const std::vector<Arm>& arms, const nlohmann::json& speed);

}  // namespace espalier
