// SPDX-License-Identifier: Apache-2.0
// A plan: spec before → selections → spec after. All indices are in the teacher's numbering, so that selections of
// several axes simply intersect: slicing, masking and checking read the same few functions and know no axis by name.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/model/parameter.hpp"
#include "espalier/sdk/axis.hpp"

namespace espalier {

using Indices = std::vector<std::int64_t>;

// What one [[prune]] block chose.
struct AxisSelection {
  AxisInfo info;
  // Shared: one list; else one list per teacher layer (layers that are dropped keep everything, those without the block
  // that has the units nothing). Of an axis of layers: which of the teacher's layers that have its part.
  Selection kept;
  std::int64_t keep = 0;    // units left, as config.json counts them
  std::int64_t extent = 0;  // units before
  // In the teacher's numbering. They apply in this order, after those of the selections before: what a fold takes from
  // another unit is as it was before the first fold of its own axis.
  std::vector<Fold> folds = {};
};

struct Plan {
  ModelSpec teacher, student;
  std::vector<AxisSelection> selections;  // in the recipe's order
  Indices layer_of;                       // student layer → teacher layer
  bool scored = false;                    // false: the counts are exact, the selections are not chosen yet
};

// Positions of a product of dimensions that all selections keep, ascending, in a teacher layer (-1: outside the
// layers). nullopt: nothing of it was cut.
std::optional<Indices> kept_positions(const Plan& plan, std::int64_t teacher_layer, const DimProduct& product);

// The teacher's tensor that a student's tensor is cut from.
Parameter source_of(const Plan& plan, const Parameter& student);

// Does `run` occur in `product` as consecutive dimensions? Returns where it begins.
std::optional<std::size_t> find_run(const DimProduct& product, const std::vector<Dim>& run);

}  // namespace espalier
