// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace espalier {

// A plugin's name is also that of its library, its files and its CMake target: lower case letters, digits and
// underscores, a letter first, no word of C++ and no target that CMake keeps. RecipeError with a name that would do.
void check_plugin_name(const std::string& name);

// "my_metric" → "MyMetric"
std::string class_name(const std::string& name);

}  // namespace espalier
