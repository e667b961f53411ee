// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/stats/components.hpp"

namespace espalier {

// Half of the two-sided interval around the estimate. `level`: 0.95, or nearer to 1 where several intervals are to hold
// together (level_of_each). Covers what the components know of: seeds and documents, or one of them. 0 when neither.
double half_width(const Components& components, double level);

// The level of each of `comparisons` intervals that together hold with `level` (Bonferroni).
double level_of_each(double level, std::size_t comparisons);

}  // namespace espalier
