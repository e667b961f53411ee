// SPDX-License-Identifier: Apache-2.0
#include "core/prune/plan.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace espalier {

std::optional<std::size_t> find_run(const DimProduct& product, const std::vector<Dim>& run) {
  const auto found = std::search(product.begin(), product.end(), run.begin(), run.end());
  if (run.empty() || found == product.end()) return std::nullopt;
  return static_cast<std::size_t>(found - product.begin());
}

namespace {

// Clears the positions of `alive` whose unit along product[at …] is not in `kept`.
void intersect(std::vector<char>& alive, const ModelSpec& spec, std::int64_t layer, const DimProduct& product,
               std::size_t at, std::size_t length, const Indices& kept) {
  const auto middle = product.begin() + static_cast<std::ptrdiff_t>(at);
  const auto last = middle + static_cast<std::ptrdiff_t>(length);
  const std::int64_t units = extent_of(spec, layer, DimProduct(middle, last));
  const std::int64_t inner = extent_of(spec, layer, DimProduct(last, product.end()));
  std::vector<char> unit_alive(static_cast<std::size_t>(units), 0);
  for (const std::int64_t unit : kept) {
    ESPALIER_CHECK(unit >= 0 && unit < units, "unit ", unit, " of ", units);
    unit_alive[static_cast<std::size_t>(unit)] = 1;
  }
  for (std::size_t position = 0; position < alive.size(); ++position) {
    const auto unit = static_cast<std::int64_t>(position) / inner % units;
    if (unit_alive[static_cast<std::size_t>(unit)] == 0) alive[position] = 0;
  }
}

}  // namespace

std::optional<Indices> kept_positions(const Plan& plan, std::int64_t teacher_layer, const DimProduct& product) {
  std::vector<char> alive;
  for (const AxisSelection& selection : plan.selections) {
    const std::optional<std::size_t> at = find_run(product, selection.info.dims);
    if (!at) continue;
    if (alive.empty()) alive.assign(static_cast<std::size_t>(extent_of(plan.teacher, teacher_layer, product)), 1);
    ESPALIER_CHECK(selection.info.shared || teacher_layer >= 0, "axis ", selection.info.name,
                   " cuts outside the layers");
    const Indices& kept = selection.kept.kept[selection.info.shared ? 0 : static_cast<std::size_t>(teacher_layer)];
    intersect(alive, plan.teacher, teacher_layer, product, *at, selection.info.dims.size(), kept);
  }
  if (alive.empty()) return std::nullopt;
  Indices positions;
  for (std::size_t i = 0; i < alive.size(); ++i) {
    if (alive[i] != 0) positions.push_back(static_cast<std::int64_t>(i));
  }
  return positions;
}

Parameter source_of(const Plan& plan, const Parameter& student) {
  const std::int64_t layer = student.layer < 0 ? -1 : plan.layer_of.at(static_cast<std::size_t>(student.layer));
  std::optional<Parameter> source = find_parameter(plan.teacher, student.role, layer);
  ESPALIER_CHECK(source, "the teacher has no tensor for ", student.name);
  return *std::move(source);
}

}  // namespace espalier
