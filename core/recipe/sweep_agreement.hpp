// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/recipe/sweep_recipe.hpp"

namespace espalier {

// Arms that are matched are compared on equal terms: as many tokens of training, of the same data in the same order,
// and the same evaluation. Tells at an arm's key what differs from the arm `reference`. `trees` are the documents of
// the arms, `base` the one around them.
void check_agreement(const SweepRecipe& sweep, const std::string& reference, const std::vector<TomlNode>& trees,
                     const TomlNode& base, Diagnostics& diagnostics);

}  // namespace espalier
