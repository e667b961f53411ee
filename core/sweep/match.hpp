// SPDX-License-Identifier: Apache-2.0
// A fair comparison: arms that cost alike. An arm with a free axis gets the legal size of it that comes nearest to the
// target; every arm must then be within the tolerance.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/forward/model.hpp"
#include "core/plugin/registry.hpp"
#include "core/recipe/sweep_recipe.hpp"
#include "core/search/budget.hpp"

namespace espalier {

// What matching under one teacher came to.
struct Matched {
  std::string teacher;
  std::string by;
  double tolerance = 0.0;
  double target = 0.0;
  std::vector<std::pair<std::string, double>> values;  // of each arm
};

// The number of a shape that is matched; for throughput a measurement.
using ShapeNumber = std::function<double(const ModelSpec& student)>;

// The legal sizes of an axis nearest to a target.
struct NearestSize {
  struct Point {
    std::int64_t keep = 0;
    double value = 0.0;
  };
  Point best;
  std::optional<Point> other;  // on the other side of the target, where there is one
};

// `value` of a size is monotone. `sizes` ascend.
NearestSize nearest_size(const std::vector<std::int64_t>& sizes, double target,
                         const std::function<double(std::int64_t keep)>& value);

// Solves the free sizes of `arms`, whose recipes are those under one teacher, and checks all arms against the target.
// Throughput is measured where `compute` says. Problems go to `diagnostics` at the arms' places.
Matched solve(const SweepRecipe& sweep, const SweepTeacher& teacher, std::vector<ArmRecipe>& arms,
              const Registry& registry, Compute compute, Diagnostics& diagnostics);

}  // namespace espalier
