// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/prune/plan.hpp"

namespace espalier {

// The teacher with the blocks off that the selections drop from its layers. The layers themselves are all there.
ModelSpec without_blocks(const Plan& plan);

}  // namespace espalier
