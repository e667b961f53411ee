// SPDX-License-Identifier: Apache-2.0
// Budgets of [search]: bounds on numbers that a spec alone gives.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/model/counts.hpp"
#include "core/recipe/search_block.hpp"

namespace espalier {

// What a budget counts with where it does not say.
struct CountBasis {
  std::int64_t bytes_per_element = 2;  // of weights, keys and values
  std::int64_t seq_length = 0;
};

// A budget with its defaults resolved.
struct Bound {
  std::string by;
  double low = 0.0, high = std::numeric_limits<double>::infinity();  // both included
  std::int64_t batch = 1;
  CountBasis basis;
  // Tokens per second can only be measured: the search does that once, for candidates that meet all other bounds.
  bool is_measured() const { return by == "throughput"; }
};

Bound bound_of(const SearchBudget& budget, const CountBasis& basis);
std::vector<Bound> bounds_of(const SearchBlock& search, const CountBasis& basis);

// The number that a bound which is not measured is about. Memory: weights, and keys and values of batch × sequence
// tokens in every layer with attention (full attention is assumed, as in Model-Optimizer 0.47; minitron.md
// section 9.2).
std::int64_t measure(const Bound& bound, const ModelSpec& spec);
std::int64_t memory_bytes(const Counts& counts, std::int64_t tokens);

// 0 inside the bound, else how far outside, as a share of the bound.
double excess(const Bound& bound, std::int64_t value);

// "parameters from 3,800,000,000 to 4,200,000,000", "memory up to 24,000,000,000"
std::string describe(const Bound& bound);

}  // namespace espalier
