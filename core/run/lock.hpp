// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/run/run.hpp"

namespace espalier {

// Writes recipe.lock.toml: every default resolved, and the digests of teacher, data and plugins as far as they are
// known. When the recipe is itself a lock, the digests it promises are held against what is there (RecipeError).
void write_lock(Run& run);

// The resolved recipe alone.
std::string resolved_recipe(const Recipe& recipe, const Registry& registry);

}  // namespace espalier
