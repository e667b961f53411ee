// SPDX-License-Identifier: Apache-2.0
// What can be known of [correct] and [distill] before a weight is read.
#pragma once

#include "core/plugin/registry.hpp"
#include "core/run/run.hpp"

namespace espalier {

// Do the losses suit each other? Problems at their places, to `diagnostics`. The losses' own options are checked
// already.
void check_losses(const Recipe& recipe, const Registry& registry, Diagnostics& diagnostics);

// Do the losses suit the models that they compare, and the models each other? From the specs alone: `student` is what
// [[prune]] leaves. Throws RecipeError with every problem at its place.
void check_training(const Run& run, const ModelSpec& student);

}  // namespace espalier
