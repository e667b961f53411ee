// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/train/trainer.hpp"

namespace espalier {

// Is a training whole, and does its data suit the model? RecipeError for sizes that do not divide, Error for tokens
// that the model does not know; a warning for sequences beyond its positions.
void check(const TrainJob& job);

}  // namespace espalier
