// SPDX-License-Identifier: Apache-2.0
#include "loss_drop.hpp"

namespace espalier::plugins {

void LossDrop::observe(const Observation& observation) {
  add(observation.unit, observation.loss - observation.base_loss, 1);
}

}  // namespace espalier::plugins
