// SPDX-License-Identifier: Apache-2.0
// Which work the runs of a sweep have in common, from their recipes alone.
#pragma once

#include <string>
#include <vector>

#include "core/sweep/expand.hpp"

namespace espalier {

struct SharedWork {
  std::string what;        // a stage, or the part of one that is shared
  std::int64_t runs = 0;   // that want it
  std::int64_t times = 0;  // that it is done
};

// Work that no run of the sweep wants is left out. What a cache holds from earlier is not looked at.
std::vector<SharedWork> shared_work(const Sweep& sweep, const Registry& registry);

}  // namespace espalier
