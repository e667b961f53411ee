// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/run/run.hpp"
#include "core/search/search_table.hpp"

namespace espalier {

// Every shape inside the budgets of [search], from the teacher's config alone. RecipeError when there is none.
Candidates candidates_from_config(const Run& run);

// The sizes that the finished search of a run gives the [[prune]] blocks.
std::vector<std::int64_t> searched_sizes(const Run& run);

// What budgets of this run count with where they do not say: the dtype of the export, sequences as [data] has them.
CountBasis count_basis(const Run& run);

// A block's target as a digest wants it.
std::string target_text(const PruneBlock& block);

// Drops what a search with other inputs has left.
void discard_search(const Run& run, const std::string& stage);

}  // namespace espalier
