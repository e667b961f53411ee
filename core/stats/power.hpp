// SPDX-License-Identifier: Apache-2.0
// Before the next experiment: how likely would it be to tell two models apart, and how large must it be?
#pragma once

#include <cstddef>
#include <optional>

#include "core/stats/components.hpp"

namespace espalier {

// What the components would be with another number of seeds and documents of the same kinds.
Components scaled(const Components& components, std::size_t replicates, std::size_t documents);

// How often an interval of this level excludes zero when `difference` is the true one and the variances are these.
double power(const Components& components, double difference, double level);

// The fewest that tell the observed difference apart with power `wanted`, the rest being as it was; none: no number
// does, or (seeds) how seeds vary is not known, or it would take more than a million.
struct Needed {
  std::optional<std::size_t> seeds, documents;
};
Needed needed(const Components& components, double level, double wanted = 0.8);

}  // namespace espalier
