// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/prune/plan.hpp"

namespace espalier {

// plan.json: `teacher` and `student` specs with their counts, `selections` (axis → kept units; per layer: one list for
// each layer of the student), `layer_of` (student layer → teacher layer), `axes` (what each selection means; `part`:
// units are the teacher's layers that have an "attention" or an "mlp", in order, absent for whole layers; `folds`, of
// an axis that has any: columns `layer`, `unit`, `from`, `own`, `other`, in the teacher's numbering).
nlohmann::json plan_to_json(const Plan& plan, std::int64_t bytes_per_element, std::int64_t seq_length);
Plan plan_from_json(const nlohmann::json& json, const std::string& source);

}  // namespace espalier
