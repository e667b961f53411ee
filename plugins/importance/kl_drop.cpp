// SPDX-License-Identifier: Apache-2.0
#include "kl_drop.hpp"

namespace espalier::plugins {

void KlDrop::observe(const Observation& observation) { add(observation.unit, observation.divergence, 1); }

}  // namespace espalier::plugins
