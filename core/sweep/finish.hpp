// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/sweep/sweep_file.hpp"

namespace espalier {

// Once the runs have ended: comparison.json and report.html in the sweep's folder, made of the files there, as
// `espalier compare` makes them. The text for people.
std::string finish(const Sweep& sweep, const std::vector<RunStatus>& status);

}  // namespace espalier
