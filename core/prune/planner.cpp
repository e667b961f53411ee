// SPDX-License-Identifier: Apache-2.0
#include "core/prune/planner.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

namespace {

bool removes_layers(const AxisInfo& info) { return info.dims == std::vector<Dim>{Dim::layers}; }

Indices all_of(std::int64_t count) {
  Indices indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

// The legal keeps around a wish: multiples of `step`, or the whole extent.
std::string nearest_keeps(std::int64_t wish, std::int64_t step, std::int64_t extent) {
  const std::int64_t top = extent / step * step;
  const std::int64_t below = std::clamp(wish / step * step, step, std::max(step, top));
  const std::int64_t above = std::min(below + step, extent);
  return below == above || wish <= below ? std::to_string(std::min(below, extent))
                                         : fmt::format("{}, {}", below, above);
}

std::int64_t step_of(const PruningAxis& axis, const ModelSpec& spec) {
  return std::max<std::int64_t>(1, axis.step(spec));
}

// The units of an axis that earlier steps left, in the teacher's numbering, for each current layer (or once).
std::vector<Indices> surviving_units(const Plan& plan, const AxisInfo& info) {
  if (removes_layers(info)) return {plan.layer_of};
  std::vector<Indices> units;
  const auto of_layer = [&](std::int64_t layer) {
    return kept_positions(plan, layer, info.dims).value_or(all_of(extent_of(plan.teacher, layer, info.dims)));
  };
  if (info.shared) return {of_layer(-1)};
  for (const std::int64_t layer : plan.layer_of) units.push_back(of_layer(layer));
  return units;
}

// The scores of the surviving units; zeros when there are none yet, so that counts can be planned.
Scores restrict_scores(const Scores* scores, const Plan& plan, const AxisInfo& info,
                       const std::vector<Indices>& units) {
  Scores result;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (scores == nullptr) {
      result.per_layer.push_back(at::zeros({static_cast<std::int64_t>(units[i].size())}));
      continue;
    }
    const std::size_t from = info.shared ? 0 : static_cast<std::size_t>(plan.layer_of[i]);
    if (from >= scores->per_layer.size()) {
      fail("scores of axis '{}' do not fit the model; got {} layers; expected {}", info.name, scores->per_layer.size(),
           plan.teacher.layers.size());
    }
    const at::Tensor index = at::tensor(units[i], at::kLong);
    const at::Tensor& all = scores->per_layer[from];
    if (all.dim() != 1 || (!units[i].empty() && units[i].back() >= all.size(0))) {
      fail("scores of axis '{}' do not fit the model; got {} units; expected at least {}", info.name, all.numel(),
           units[i].back() + 1);
    }
    result.per_layer.push_back(all.index_select(0, index));
  }
  return result;
}

void check_selection(const PruneStep& step, const std::vector<Indices>& units, const Selection& selection) {
  if (selection.kept.size() != units.size()) {
    fail("axis '{}': wrong number of selections; got {}; expected {}", step.axis_name, selection.kept.size(),
         units.size());
  }
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Indices& kept = selection.kept[i];
    const bool ascending = std::adjacent_find(kept.begin(), kept.end(), std::greater_equal<>()) == kept.end();
    const bool inside = kept.empty() || (kept.front() >= 0 && kept.back() < static_cast<std::int64_t>(units[i].size()));
    if (kept.empty() || !ascending || !inside) {
      fail("axis '{}': selection {} is not a list of ascending units; got {} units; expected indices from 0 to {}",
           step.axis_name, i, kept.size(), static_cast<std::int64_t>(units[i].size()) - 1);
    }
  }
}

// From the numbering of the spec at hand to the teacher's.
Selection in_teacher_numbers(const Plan& plan, const AxisInfo& info, const std::vector<Indices>& units,
                             const Selection& selection) {
  Selection result;
  if (!info.shared) {
    for (std::size_t layer = 0; layer < plan.teacher.layers.size(); ++layer) {
      result.kept.push_back(all_of(extent_of(plan.teacher, static_cast<std::int64_t>(layer), info.dims)));
    }
  }
  for (std::size_t i = 0; i < units.size(); ++i) {
    Indices kept;
    for (const std::int64_t unit : selection.kept[i]) kept.push_back(units[i][static_cast<std::size_t>(unit)]);
    if (info.shared) {
      result.kept.push_back(std::move(kept));
    } else {
      result.kept[static_cast<std::size_t>(plan.layer_of[i])] = std::move(kept);
    }
  }
  return result;
}

void apply(Plan& plan, const PruneStep& step, std::int64_t keep) {
  const AxisInfo info = step.axis->describe();
  const std::vector<Indices> units = surviving_units(plan, info);
  const Selection selection = step.axis->select(plan.student, restrict_scores(step.scores, plan, info, units), keep);
  check_selection(step, units, selection);
  const std::int64_t extent = step.axis->extent(plan.student);
  plan.student = step.axis->shrink(plan.student, selection);
  if (step.axis->extent(plan.student) != keep) {
    fail("axis '{}': the spec after the cut disagrees; got {} {}s; expected {}", step.axis_name,
         step.axis->extent(plan.student), info.unit, keep);
  }
  plan.selections.push_back({info, in_teacher_numbers(plan, info, units, selection), keep, extent});
  if (removes_layers(info)) plan.layer_of = plan.selections.back().kept.kept.front();
}

// Every student tensor must have the shape that the selections leave of its source.
void check_shapes(const Plan& plan) {
  std::map<std::pair<std::int64_t, DimProduct>, std::int64_t> known;  // a layer's tensors share their dimensions
  for (const Parameter& parameter : parameters(plan.student)) {
    const Parameter source = source_of(plan, parameter);
    for (std::size_t d = 0; d < parameter.dims.size(); ++d) {
      const auto [entry, added] = known.try_emplace({source.layer, source.dims[d]}, source.shape[d]);
      if (added) {
        if (const auto kept = kept_positions(plan, source.layer, source.dims[d]))
          entry->second = static_cast<std::int64_t>(kept->size());
      }
      const std::int64_t left = entry->second;
      if (left != parameter.shape[d]) {
        fail("the axes' selections and specs disagree on {}, dimension {}; got {} kept positions; expected {}",
             parameter.name, d, left, parameter.shape[d]);
      }
    }
  }
}

}  // namespace

bool legal_keep(const PruningAxis& axis, const ModelSpec& spec, std::int64_t keep) {
  const std::int64_t extent = axis.extent(spec);
  return keep >= 1 && keep <= extent && (keep % step_of(axis, spec) == 0 || keep == extent);
}

std::string legal_keeps(const PruningAxis& axis, const ModelSpec& spec, std::int64_t wish) {
  const std::int64_t extent = axis.extent(spec), unit = step_of(axis, spec);
  const std::string sizes =
      unit == 1 ? fmt::format("1 to {}", extent) : fmt::format("a multiple of {} up to {}", unit, extent);
  return fmt::format("{} (nearest: {})", sizes, nearest_keeps(wish, unit, extent));
}

std::optional<std::int64_t> resolve_keep(const PruneStep& step, const ModelSpec& spec, Diagnostics& diagnostics) {
  const std::int64_t extent = step.axis->extent(spec), unit = step_of(*step.axis, spec);
  const PruneBlock& block = *step.block;
  ESPALIER_CHECK(block.keep || block.ratio, "a block whose size is still to be searched");
  std::int64_t keep = 0;
  if (block.keep) {
    keep = *block.keep;
  } else {
    const double wish = *block.ratio * static_cast<double>(extent);
    keep =
        std::clamp<std::int64_t>(std::llround(wish / static_cast<double>(unit)) * unit, std::min(unit, extent), extent);
  }
  if (legal_keep(*step.axis, spec, keep)) return keep;
  diagnostics.error(block.keep_where, "prune",
                    keep > extent || keep < 1
                        ? fmt::format("keep of axis '{}' is out of range", step.axis_name)
                        : fmt::format("keep of axis '{}' is not a size it can give", step.axis_name),
                    std::to_string(keep), legal_keeps(*step.axis, spec, keep));
  return std::nullopt;
}

ModelSpec shrunk(const ModelSpec& spec, const PruningAxis& axis, const std::string& axis_name, std::int64_t keep) {
  Plan plan;
  plan.teacher = plan.student = spec;
  plan.layer_of = all_of(static_cast<std::int64_t>(spec.layers.size()));
  apply(plan, {&axis, nullptr, axis_name, nullptr}, keep);
  return std::move(plan.student);
}

Plan make_plan(const ModelSpec& teacher, const std::vector<PruneStep>& steps, Diagnostics& diagnostics) {
  Plan plan;
  plan.teacher = plan.student = teacher;
  plan.layer_of = all_of(static_cast<std::int64_t>(teacher.layers.size()));
  plan.scored = std::all_of(steps.begin(), steps.end(), [](const PruneStep& step) { return step.scores != nullptr; });
  for (const PruneStep& step : steps) {
    if (const std::optional<std::int64_t> keep = resolve_keep(step, plan.student, diagnostics))
      apply(plan, step, *keep);
  }
  check_shapes(plan);
  return plan;
}

}  // namespace espalier
