// SPDX-License-Identifier: Apache-2.0
// What all axes share: checking what comes in, and choosing the best units in a way that depends on the scores alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/options.hpp"
#include "espalier/sdk/spec.hpp"

namespace espalier::plugins {

struct AxisOptions {
  std::int64_t granularity;
  template <class V>
  void fields(V& v) {
    v("granularity", granularity, 1, between(1, 1 << 20), "the number of kept units is a multiple of this");
  }
};

// "axis 'ffn', layer 3", or "axis 'hidden'" with layer -1.
std::string place_of(const std::string& axis, std::int64_t layer);

// A keep that the axis can give: a multiple of `step` from 1 to `extent`, or the extent itself. Throws RecipeError with
// the nearest legal numbers.
void check_keep(const std::string& axis, std::int64_t keep, std::int64_t extent, std::int64_t step);

// One tensor of scores for each of `count` places. Throws Error.
void check_count(const std::string& axis, std::size_t got, std::size_t count);

// The scores of one place as numbers: (units) and finite. Throws Error naming place and unit.
std::vector<double> read_scores(const at::Tensor& scores, std::int64_t units, const std::string& place);

// All indices, the largest score first. Of equal scores the lower index comes first.
std::vector<std::int64_t> by_rank(const std::vector<double>& scores);

// Indices of the `keep` largest scores, ascending. Of equal scores the lower index is kept.
std::vector<std::int64_t> top_k(const std::vector<double>& scores, std::int64_t keep);

// Not empty where there are units, ascending, without repetition, inside [0, units). Throws Error.
void check_kept(const std::vector<std::int64_t>& kept, std::int64_t units, const std::string& place);

}  // namespace espalier::plugins
