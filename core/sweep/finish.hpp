// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/sweep/sweep_file.hpp"

namespace espalier {

// What a sweep leaves beside its runs once they have ended, from the files in its folder. The text for people.
std::string finish(const Sweep& sweep, const std::vector<RunStatus>& status);

}  // namespace espalier
