// SPDX-License-Identifier: Apache-2.0
// The grid points that meet every budget, with what the table says of each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/search/budget.hpp"
#include "core/search/grid.hpp"
#include "core/search/legality.hpp"

namespace espalier {

struct Candidate {
  std::string name;                // "hidden3072-ffn9216": the searched axes; unique, and names its folder
  std::vector<std::int64_t> keep;  // of every [[prune]] block, in the recipe's order
  ModelSpec student;
  Counts counts;
  std::int64_t memory = 0;
  Legality legality;
};

struct Candidates {
  std::vector<Candidate> list;    // the one with the most parameters first, then as in the grid
  std::int64_t points = 0;        // of the whole grid
  std::int64_t left_out = 0;      // sizes that the teacher does not reach
  std::vector<std::string> axes;  // names of the [[prune]] blocks, as `keep` has them
  std::vector<Bound> bounds;
  CountBasis basis;                // of the counts
  std::int64_t memory_tokens = 0;  // in the KV cache, of the memory column
};

// Everything from the spec alone. When no point meets the budgets, the nearest ones are reported; then the list is
// empty, as it is when a size is not legal.
Candidates find_candidates(const ModelSpec& teacher, const std::vector<PruneStep>& steps, const SearchBlock& search,
                           const CountBasis& basis, Diagnostics& diagnostics);

// The name, counts and legality of a student: again, from what a plan really gives.
Candidate describe_candidate(const Candidates& all, const SearchBlock& search, std::vector<std::int64_t> keep,
                             ModelSpec student);
bool within(const std::vector<Bound>& bounds, const ModelSpec& student);  // of those that can be counted

}  // namespace espalier
