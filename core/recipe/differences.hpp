// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/recipe/toml_source.hpp"

namespace espalier {

// A place where recipes differ: "distill.scheduler.peak", "prune.0.keep". Components of different names differ as a
// whole, and so do lists whose elements are not the same axes, components or files in the same order.
struct TomlDifference {
  std::string key;
  std::vector<const TomlNode*> values;  // of each tree; nullptr where it has no such key
};

// In the order of the first tree that has the key. Values point into the trees.
std::vector<TomlDifference> toml_differences(const std::vector<const TomlNode*>& trees);

}  // namespace espalier
