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
#include "core/model/layer_axis.hpp"
#include "core/prune/blocks.hpp"
#include "core/prune/folds.hpp"

namespace espalier {

namespace {

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

// The layers with a part that earlier steps left, as numbers of the teacher's layers with that part.
Indices surviving_layers(const Plan& plan, Part part) {
  const Indices all = layers_with(plan.teacher, part);
  Indices units;
  for (const std::int64_t layer : layers_with(plan.student, part)) {
    const std::int64_t of_teacher = plan.layer_of[static_cast<std::size_t>(layer)];
    units.push_back(std::lower_bound(all.begin(), all.end(), of_teacher) - all.begin());
  }
  return units;
}

}  // namespace

std::vector<Indices> surviving_units(const Plan& plan, const AxisInfo& info) {
  if (is_layers(info)) return {surviving_layers(plan, info.part)};
  std::vector<Indices> units;
  const auto of_layer = [&](std::int64_t layer) {
    return kept_positions(plan, layer, info.dims).value_or(all_of(extent_of(plan.teacher, layer, info.dims)));
  };
  if (info.shared) return {of_layer(-1)};
  for (std::size_t i = 0; i < plan.layer_of.size(); ++i) {
    const bool any = has_dims(plan.student.layers[i], info.dims);
    units.push_back(any ? of_layer(plan.layer_of[i]) : Indices());
  }
  return units;
}

namespace {

// Are there as many scores as runs of `run` units in the teacher? Then they are those of runs.
bool is_of_runs(const at::Tensor& scores, const Plan& plan, const AxisInfo& info, std::int64_t run) {
  const auto units = static_cast<std::int64_t>(layers_with(plan.teacher, info.part).size());
  return info.one_run && scores.dim() == 1 && scores.size(0) == units - run + 1;
}

// A run of the teacher's units says nothing of one from which some have gone.
void check_uncut(const Plan& plan, const AxisInfo& info, const Indices& units) {
  const std::size_t all = layers_with(plan.teacher, info.part).size();
  if (units.size() == all) return;
  fail("scores of axis '{}' are those of runs of the unpruned teacher; got {} of its {} units; expected all of them",
       info.name, units.size(), all);
}

// The scores of the surviving units; zeros when there are none yet, so that counts can be planned. Scores of runs of
// `run` units are passed on as they are.
Scores restrict_scores(const Scores* scores, const Plan& plan, const AxisInfo& info, const std::vector<Indices>& units,
                       std::int64_t run) {
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
    if (run > 1 && is_of_runs(all, plan, info, run)) {
      check_uncut(plan, info, units[i]);
      result.per_layer.push_back(all);
      continue;
    }
    const std::int64_t least = units[i].empty() ? 0 : units[i].back() + 1;
    if (all.dim() != 1 || all.size(0) < least) {
      fail("scores of axis '{}' do not fit the model; got {} units; expected at least {}", info.name, all.numel(),
           least);
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
    if (kept.empty() != units[i].empty() || !ascending || !inside) {
      fail("axis '{}': selection {} is not a list of ascending units; got {} units; expected indices from 0 to {}",
           step.axis_name, i, kept.size(), static_cast<std::int64_t>(units[i].size()) - 1);
    }
  }
}

}  // namespace

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

namespace {

void apply(Plan& plan, const PruneStep& step, std::int64_t keep) {
  const AxisInfo info = step.axis->describe();
  const std::vector<Indices> units = surviving_units(plan, info);
  const std::int64_t extent = step.axis->extent(plan.student);
  const Scores scores = restrict_scores(step.scores, plan, info, units, extent - keep);
  const Selection selection = step.axis->select(plan.student, scores, keep);
  check_selection(step, units, selection);
  // Asked for a count, too, where the scores mean nothing: what an axis cannot fold is then told before any scoring.
  std::vector<Fold> folds;
  if (step.folds) {
    folds = checked_folds(step.axis->folds(plan.student, scores, selection), {step.axis_name, info, units, selection},
                          plan);
  }
  plan.student = step.axis->shrink(plan.student, selection);
  if (step.axis->extent(plan.student) != keep) {
    fail("axis '{}': the spec after the cut disagrees; got {} {}s; expected {}", step.axis_name,
         step.axis->extent(plan.student), info.unit, keep);
  }
  plan.selections.push_back({info, in_teacher_numbers(plan, info, units, selection), keep, extent, std::move(folds)});
  if (is_layers(info) && info.part == Part::whole) plan.layer_of = plan.selections.back().kept.kept.front();
}

// Every student layer must have the blocks that the selections leave of the teacher's.
void check_blocks(const Plan& plan) {
  const ModelSpec left = without_blocks(plan);
  for (std::size_t i = 0; i < plan.layer_of.size(); ++i) {
    const LayerSpec& source = left.layers[static_cast<std::size_t>(plan.layer_of[i])];
    for (const Part part : {Part::attention, Part::mlp}) {
      const bool has = has_part(plan.student.layers.at(i), part);
      if (has == has_part(source, part)) continue;
      fail("the axes' selections and specs disagree on the {} of layer {}; got a spec {} it; expected one {} it",
           name_of(part), i, has ? "with" : "without", has ? "without" : "with");
    }
  }
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
  check_blocks(plan);
  check_shapes(plan);
  return plan;
}

}  // namespace espalier
