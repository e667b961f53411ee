// SPDX-License-Identifier: Apache-2.0
// Linear maps with a bias from the student's width to the teacher's, trained with the student and left out of the
// export. Nothing where the widths agree.
#pragma once

#include <cstdint>
#include <vector>

#include "espalier/sdk/feature_loss.hpp"

namespace espalier::plugins {

// (weight (to, from), bias (to)) of each of `count` maps, as a flat list. Weights are uniform with the variance
// 1 / `from`, so that a projected state is as large as its source; biases are 0. A function of the arguments alone.
std::vector<at::Tensor> projectors(std::int64_t count, std::int64_t from, std::int64_t to, std::uint64_t seed);

// The student's rows at the teacher's width: through the pair's own map, or through the one that all pairs share.
at::Tensor projected(const FeatureRows& rows);

}  // namespace espalier::plugins
