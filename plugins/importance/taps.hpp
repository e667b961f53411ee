// SPDX-License-Identifier: Apache-2.0
// Where metrics of a width look.
#pragma once

#include <string>
#include <vector>

#include "espalier/sdk/axis.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier::plugins {

// Choices of the option `tap`; empty: the axis's own choice.
Limits any_tap();

// The tap that the option names. Throws RecipeError when the axis has none, or not this one.
Tap tap_of(const std::string& metric, const AxisInfo& axis, const std::string& wanted);

// The axis's first tap that matrices read. Throws RecipeError when it has none.
Tap read_tap_of(const std::string& metric, const AxisInfo& axis);

}  // namespace espalier::plugins
