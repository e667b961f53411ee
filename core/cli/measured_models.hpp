// SPDX-License-Identifier: Apache-2.0
// `espalier compare --data`: models measured now, all on the same windows.
#pragma once

#include <vector>

#include "core/cli/command_line.hpp"
#include "core/report/runs.hpp"

namespace espalier {

// --data and what belongs to it, as `espalier eval` has them.
void add_data_options(po::options_description& options);

// Measures every model that has no losses by document, or has them of other windows than these. RecipeError without
// --data when there is a model that needs it.
void measure_models(const CommandLine& line, std::vector<RunRef>& runs);

// `espalier compare --speed`: speed.json of the teachers ("teacher:NAME") and of one finished run of each arm, all in
// one run. Every run must have its arm's name.
nlohmann::json measure_speeds_of(const CommandLine& line, const std::vector<RunRef>& runs);

}  // namespace espalier
