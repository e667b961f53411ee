// SPDX-License-Identifier: Apache-2.0
// What the arms of a sweep differ in: from resolved recipes, so that a default which is written out is none.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace espalier {

struct Difference {
  std::string key;  // "distill.scheduler.peak", "prune.0.keep"; a list whose elements do not pair up is one key
  std::vector<std::pair<std::string, std::string>> values;  // arm → TOML; "" where the arm has no such key
};

// `arms`: name and resolved recipe as TOML. The keys that name a run (name, output, seed) are none. In the order of the
// schema.
std::vector<Difference> differences(const std::vector<std::pair<std::string, std::string>>& arms);

// A table for people; long values are cut.
std::string differences_text(const std::vector<Difference>& differences);

}  // namespace espalier
