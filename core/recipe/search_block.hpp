// SPDX-License-Identifier: Apache-2.0
// [search] as typed structs: a grid of sizes and budgets, instead of `keep` in the [[prune]] blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/recipe/diagnostics.hpp"

namespace espalier {

// The sizes that one axis may take, as config.json counts them. One of three forms:
//   keep = [2560, 3072]                          these; with `ratio_of`: these multiples of that axis's size
//   from = 29, to = 32, step = 1                 a range, both ends included
//   max_removed = 0.4, step = 256                of the n multiples of `step` (the whole extent is one) all but the
//                                                smallest int((1 - max_removed) · n): Model-Optimizer's rule
struct SearchAxis {
  std::string axis;
  std::vector<double> keep;
  std::optional<std::string> ratio_of;
  std::optional<std::int64_t> from, to, step;
  std::optional<double> max_removed;
  Where where, axis_where, ratio_of_where;  // of the entry; of the two names
  Where sizes_where, step_where;            // of keep, from or max_removed; of step
  std::vector<Where> keep_where;            // of each element of keep
};

// A bound on one number of a candidate: counted, or for `throughput` measured (tokens per second). `target` and
// `tolerance` stand for target · (1 ± tolerance).
struct SearchBudget {
  std::string by;
  std::optional<double> target, at_least, at_most;
  std::optional<double> tolerance;       // absent: 0.05, as in arXiv 2407.14679, section 2.3
  std::optional<std::int64_t> batch;     // memory: sequences whose keys and values are kept; throughput; absent: 1
  std::optional<std::int64_t> sequence;  // memory, flops_per_token, throughput: tokens; absent: [data] seq_length
  std::optional<std::string> dtype;      // memory, kv_bytes_per_token; absent: [export]'s, else the teacher's
  Where where;
};

struct SearchBlock {
  std::vector<SearchAxis> axes;
  std::vector<SearchBudget> budget;  // all must hold
  std::string data;                  // "valid" or "calibration"; empty: valid where the recipe has it
  std::int64_t windows = 0;          // of each evaluation; 0: all
  std::int64_t top_k = 0;            // candidates that the loss before training lets into the first round; 0: all
  std::vector<double> rounds;        // tokens that a candidate trains for in each round
  double keep = 0.0;                 // share of a round's candidates that goes on
  std::int64_t save_every = 0;       // steps; 0: at the end of a round
  bool throughput = false;           // also measure tokens/s of those that were trained to the end
  Where where, rounds_where;
};

struct Recipe;

// What [search] and the [[prune]] blocks must agree on, told at the places of both.
void check_search(const Recipe& recipe, Diagnostics& diagnostics);

}  // namespace espalier
