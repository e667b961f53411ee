// SPDX-License-Identifier: Apache-2.0
// What runs cost and reached, arm by arm, and which arm is better: comparison.json (schema 1), from which the table on
// the terminal and report.html are made.
//
// Verdicts pair arms by document, seed and teacher; each moment (before, after distillation) is a family of its own,
// whose intervals hold together: with m comparisons at 95 %, each is at 1 - 0.05 / m, so that verdict and interval
// agree. An interval excludes zero exactly when the outcome is not "undecided".
//
// Equal files give equal bytes, but for `seconds`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/report/runs.hpp"

namespace espalier {

struct CompareOptions {
  std::string title;       // empty: made of the arms' names
  std::string baseline;    // the arm that the others are compared with; empty: the first
  bool all_pairs = false;  // every arm with every other
  double level = 0.95;     // of all intervals of a moment together
  nlohmann::json sweep;    // sweep.json, or null: match, differences and teachers are taken from it
  nlohmann::json speed;    // speed.json, or null
};

// Of a sweep's folder: title, baseline, sweep and speed.
CompareOptions options_of_sweep(const fs::path& folder);

// comparison.json. RecipeError: an unknown baseline, the same run twice, runs that were not measured alike. Error: a
// run that cannot be read.
nlohmann::json compare(const std::vector<RunRef>& runs, const CompareOptions& options);

// The tables, what differs between the arms, and the verdicts.
std::string comparison_text(const nlohmann::json& comparison);

}  // namespace espalier
