// SPDX-License-Identifier: Apache-2.0
#include "core/prune/folds.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.hpp"

namespace espalier {

namespace {

std::string text_of(const DimProduct& product) {
  std::string text;
  for (const Dim dim : product) text += (text.empty() ? "" : " × ") + std::string(name_of(dim));
  return text;
}

// One fold as the axis returns it. Throws Error naming axis and fold.
void check_fold(const Fold& fold, std::size_t index, const FoldContext& context, const Plan& plan) {
  const auto broken = [&](const std::string& what, const auto& got, const std::string& expected) {
    fail("axis '{}': fold {} {}; got {}; expected {}", context.axis, index, what, got, expected);
  };
  const auto layers = static_cast<std::int64_t>(plan.layer_of.size());
  if (context.info.dims == std::vector<Dim>{Dim::layers}) broken("cannot be", "an axis of layers", "no folds");
  if (fold.layer < (context.info.shared ? -1 : 0) || fold.layer >= layers) {
    broken("names a layer that is not there", fold.layer, fmt::format("0 to {}", layers - 1));
  }
  if (fold.dimension != 0 && fold.dimension != 1) broken("has no such dimension", fold.dimension, "0 or 1");
  if (!find_run(fold.product, context.info.dims)) {
    broken("is of a product without the axis's units", "'" + text_of(fold.product) + "'",
           "'" + text_of(context.info.dims) + "' in it");
  }
  const std::size_t list = context.info.shared ? 0 : static_cast<std::size_t>(fold.layer);
  const auto units = static_cast<std::int64_t>(context.units[list].size());
  for (const std::int64_t unit : {fold.unit, fold.from}) {
    if (unit < 0 || unit >= units)
      broken("names a unit that is not there", unit, units == 0 ? "no fold" : fmt::format("0 to {}", units - 1));
  }
  const Indices& kept = context.selection.kept[list];
  if (!std::binary_search(kept.begin(), kept.end(), fold.unit))
    broken("is of a unit that goes", fold.unit, "one that is kept");
  if (!std::isfinite(fold.own) || !std::isfinite(fold.other))
    broken("has a factor that is no number", fmt::format("{} and {}", fold.own, fold.other), "finite ones");
}

void check_targets(const std::vector<Fold>& folds, const FoldContext& context, const ModelSpec& teacher) {
  const std::vector<Parameter> table = parameters(teacher);
  const Fold* previous = nullptr;  // folds come in runs of one target
  for (std::size_t i = 0; i < folds.size(); ++i) {
    const Fold& fold = folds[i];
    const bool same = previous != nullptr && previous->layer == fold.layer && previous->dimension == fold.dimension &&
                      previous->product == fold.product;
    previous = &fold;
    const auto is_target = [&](const Parameter& parameter) { return folds_into(fold, parameter); };
    if (same || std::any_of(table.begin(), table.end(), is_target)) continue;
    fail(
        "axis '{}': fold {} changes nothing; got '{}' as dimension {}, which no tensor of layer {} has; expected one "
        "that is there",
        context.axis, i, text_of(fold.product), fold.dimension, fold.layer);
  }
}

// Row or column factors beside a tensor: shaped to multiply along `dimension`.
at::Tensor along(const std::vector<float>& factors, const Indices& at, int dimension, std::int64_t dims) {
  std::vector<float> chosen;
  for (const std::int64_t position : at) chosen.push_back(factors[static_cast<std::size_t>(position)]);
  std::vector<std::int64_t> shape(static_cast<std::size_t>(dims), 1);
  shape[static_cast<std::size_t>(dimension)] = static_cast<std::int64_t>(chosen.size());
  return at::tensor(chosen, at::kFloat).view(shape);
}

}  // namespace

std::vector<Fold> checked_folds(const std::vector<Fold>& folds, const FoldContext& context, const Plan& plan) {
  std::vector<Fold> result = folds;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    check_fold(folds[i], i, context, plan);
    const Indices& units = context.units[context.info.shared ? 0 : static_cast<std::size_t>(folds[i].layer)];
    result[i].unit = units[static_cast<std::size_t>(folds[i].unit)];
    result[i].from = units[static_cast<std::size_t>(folds[i].from)];
    if (folds[i].layer >= 0) result[i].layer = plan.layer_of[static_cast<std::size_t>(folds[i].layer)];
  }
  check_targets(result, context, plan.teacher);
  return result;
}

bool folds_into(const Fold& fold, const Parameter& parameter) {
  const auto dimension = static_cast<std::size_t>(fold.dimension);
  return fold.layer == parameter.layer && dimension < parameter.dims.size() &&
         parameter.dims[dimension] == fold.product;
}

FoldedTensor::FoldedTensor(const Plan& plan, const Parameter& source) {
  for (const AxisSelection& selection : plan.selections) {
    for (int dimension = 0; dimension < static_cast<int>(source.dims.size()); ++dimension) {
      Step step = step_of(plan.teacher, selection, source, dimension);
      if (!step.maps.empty()) steps_.push_back(std::move(step));
    }
  }
}

FoldedTensor::Step FoldedTensor::step_of(const ModelSpec& teacher, const AxisSelection& selection,
                                         const Parameter& source, int dimension) {
  Step step{dimension, {}};
  const DimProduct& product = source.dims[static_cast<std::size_t>(dimension)];
  const std::optional<std::size_t> at = find_run(product, selection.info.dims);
  if (!at) return step;
  const auto last = product.begin() + static_cast<std::ptrdiff_t>(*at + selection.info.dims.size());
  const std::int64_t length = source.shape[static_cast<std::size_t>(dimension)],
                     units = extent_of(teacher, source.layer, selection.info.dims),
                     inner = extent_of(teacher, source.layer, DimProduct(last, product.end())),
                     outer = length / (units * inner);
  for (const Fold& fold : selection.folds) {
    if (fold.dimension != dimension || !folds_into(fold, source)) continue;
    // The first map in which the unit has no fold yet.
    const auto first = static_cast<std::size_t>(fold.unit * inner);
    auto map = std::find_if(step.maps.begin(), step.maps.end(), [&](const Map& one) { return one.from[first] < 0; });
    if (map == step.maps.end()) {
      const auto size = static_cast<std::size_t>(length);
      map = step.maps.insert(map, {std::vector<float>(size), std::vector<float>(size), Indices(size, -1)});
    }
    for (std::int64_t i = 0; i < outer * inner; ++i) {
      const std::int64_t base = i / inner * units * inner + i % inner;
      const auto position = static_cast<std::size_t>(base + fold.unit * inner);
      map->own[position] = static_cast<float>(fold.own);
      map->other[position] = static_cast<float>(fold.other);
      map->from[position] = base + fold.from * inner;
    }
  }
  return step;
}

// `x` holds `positions` along the step's dimension; `before` gives others as they were before the step.
at::Tensor FoldedTensor::folded(const at::Tensor& x, const Step& step, const Indices& positions,
                                const std::function<at::Tensor(const Indices&)>& before) {
  at::Tensor result = x;
  for (const Map& map : step.maps) {
    Indices here, own, from;  // places in x, their positions, and what they take from
    for (std::size_t i = 0; i < positions.size(); ++i) {
      const std::int64_t source = map.from[static_cast<std::size_t>(positions[i])];
      if (source < 0) continue;
      here.push_back(static_cast<std::int64_t>(i));
      own.push_back(positions[i]);
      from.push_back(source);
    }
    if (here.empty()) continue;
    const at::Tensor index = at::tensor(here, at::kLong);
    const at::Tensor kept = result.index_select(step.dimension, index) * along(map.own, own, step.dimension, x.dim());
    const at::Tensor taken = before(from) * along(map.other, own, step.dimension, x.dim());
    result = result.index_copy(step.dimension, index, kept + taken);
  }
  return result;
}

at::Tensor FoldedTensor::rows_after(const at::Tensor& stored, const Indices& positions, std::size_t steps) const {
  if (steps == 0) return stored.index_select(0, at::tensor(positions, at::kLong)).to(at::kFloat);
  const Step& step = steps_[steps - 1];
  const at::Tensor x = rows_after(stored, positions, steps - 1);
  if (step.dimension == 0) {
    return folded(x, step, positions, [&](const Indices& from) { return rows_after(stored, from, steps - 1); });
  }
  Indices columns(static_cast<std::size_t>(x.size(1)));
  std::iota(columns.begin(), columns.end(), 0);
  return folded(x, step, columns, [&](const Indices& from) { return x.index_select(1, at::tensor(from, at::kLong)); });
}

}  // namespace espalier
