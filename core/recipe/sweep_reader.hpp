// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/recipe/diagnostics.hpp"
#include "core/recipe/sweep_block.hpp"

namespace espalier {

// The table [sweep] by itself: types, names, and what its keys say of each other. What its arms make of the recipe is
// not looked at.
SweepBlock read_sweep(const TomlNode& node, Diagnostics& diagnostics);

}  // namespace espalier
