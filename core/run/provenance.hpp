// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "core/run/run.hpp"

namespace espalier {

// espalier.json: how a checkpoint came to be. Recipe, seed, digests of teacher, data, scores and plugins, kept units.
// Holds no time and no path outside the recipe, so that two runs of one recipe write the same bytes.
nlohmann::json provenance_of(Run& run);

}  // namespace espalier
