// SPDX-License-Identifier: Apache-2.0
#include "core/prune/rounds.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

#include "core/base/error.hpp"
#include "core/prune/folds.hpp"

namespace espalier {

namespace {

// The steps with other keeps; owns the blocks that they point at.
struct Retargeted {
  std::vector<PruneBlock> blocks;
  std::vector<PruneStep> steps;
};

Retargeted retargeted(const std::vector<PruneStep>& steps, const Indices& keeps) {
  Retargeted result;
  for (std::size_t i = 0; i < keeps.size(); ++i) {
    result.blocks.push_back(*steps[i].block);
    result.blocks.back().keep = keeps[i];
    result.blocks.back().ratio = std::nullopt;
  }
  for (std::size_t i = 0; i < keeps.size(); ++i)
    result.steps.push_back({steps[i].axis, &result.blocks[i], steps[i].axis_name, nullptr, steps[i].folds});
  return result;
}

// One step's keep after a share of the way; `spec` is what the steps before it leave.
std::int64_t keep_after(const PruneStep& step, const ModelSpec& spec, const AxisSelection& target, double way) {
  const std::int64_t extent = step.axis->extent(spec);
  if (target.keep == target.extent) return extent;
  const auto unit = static_cast<double>(std::max<std::int64_t>(1, step.axis->step(spec)));
  const double removed = 1.0 - static_cast<double>(target.keep) / static_cast<double>(target.extent);
  const double wish = static_cast<double>(extent) * (1.0 - way * removed);
  const auto keep = static_cast<std::int64_t>(std::round(wish / unit) * unit);
  return std::clamp(keep, std::min(static_cast<std::int64_t>(unit), extent), extent);
}

// What a unit's weights are of the unfolded ones: factors by unit, itself first.
using Mixture = std::vector<std::pair<std::int64_t, double>>;
// Of every unit that has folds, by dimension, product, layer and unit.
using Mixtures = std::map<std::tuple<int, DimProduct, std::int64_t, std::int64_t>, Mixture>;

void add(Mixture& mixture, const Mixture& other, double factor) {
  for (const auto& [unit, share] : other) {
    const auto same = std::find_if(mixture.begin(), mixture.end(), [&](const auto& one) { return one.first == unit; });
    if (same == mixture.end()) {
      mixture.emplace_back(unit, factor * share);
    } else {
      same->second += factor * share;
    }
  }
}

// The folds after `before`, which they take from.
Mixtures mixed(const Mixtures& before, const std::vector<Fold>& folds) {
  Mixtures result = before;
  const auto of = [&](const Fold& fold, std::int64_t unit) {
    const auto found = before.find({fold.dimension, fold.product, fold.layer, unit});
    return found == before.end() ? Mixture{{unit, 1.0}} : found->second;
  };
  for (const Fold& fold : folds) {
    Mixture& mixture =
        result.try_emplace({fold.dimension, fold.product, fold.layer, fold.unit}, of(fold, fold.unit)).first->second;
    for (auto& [unit, share] : mixture) share *= fold.own;
    add(mixture, of(fold, fold.from), fold.other);
  }
  return result;
}

std::vector<Fold> folds_of(const Mixtures& mixtures, const AxisSelection& selection) {
  std::vector<Fold> folds;
  for (const auto& [place, mixture] : mixtures) {
    Fold fold;
    std::tie(fold.dimension, fold.product, fold.layer, fold.unit) = place;
    const Indices& kept = selection.kept.kept[selection.info.shared ? 0 : static_cast<std::size_t>(fold.layer)];
    if (!std::binary_search(kept.begin(), kept.end(), fold.unit)) continue;  // gone in a later round
    fold.own = mixture.front().second;
    fold.from = fold.unit;
    if (mixture.size() == 1) folds.push_back(fold);
    for (std::size_t i = 1; i < mixture.size(); ++i) {
      std::tie(fold.from, fold.other) = mixture[i];
      folds.push_back(fold);
      fold.own = 1.0;
    }
  }
  return folds;
}

void refuse_several_folding(const Plan& first, const Plan& second) {
  const AxisSelection* folding = nullptr;
  for (std::size_t i = 0; i < first.selections.size(); ++i) {
    if (first.selections[i].folds.empty() && second.selections[i].folds.empty()) continue;
    if (folding != nullptr) {
      reject(
          "score.rounds: the folds of axes '{}' and '{}' cannot go over several rounds together; expected rounds = 1, "
          "or one axis that folds",
          folding->info.name, first.selections[i].info.name);
    }
    folding = &first.selections[i];
  }
}

AxisSelection composed(const Plan& first, const AxisSelection& before, const AxisSelection& after) {
  const std::vector<Indices> units = surviving_units(first, after.info);
  AxisSelection result{
      after.info, in_teacher_numbers(first, after.info, units, after.kept), after.keep, before.extent, {}};
  if (before.folds.empty() && after.folds.empty()) return result;
  // A fold that is composed may be of a unit that a later step of its own round drops.
  Selection all = after.kept;
  for (std::size_t i = 0; i < all.kept.size(); ++i) {
    all.kept[i].resize(units[i].size());
    std::iota(all.kept[i].begin(), all.kept[i].end(), 0);
  }
  const std::vector<Fold> later = checked_folds(after.folds, {after.info.name, after.info, units, all}, first);
  result.folds = folds_of(mixed(mixed({}, before.folds), later), result);
  return result;
}

}  // namespace

std::vector<Indices> round_keeps(const ModelSpec& teacher, const std::vector<PruneStep>& steps, std::int64_t rounds,
                                 Diagnostics& diagnostics) {
  std::vector<PruneStep> counting = steps;
  for (PruneStep& step : counting) {
    step.scores = nullptr;
    step.folds = false;  // one round need not be able to fold what all of them can
  }
  const Plan target = make_plan(teacher, counting, diagnostics);
  std::vector<Indices> keeps;
  if (!diagnostics.empty()) return keeps;
  for (std::int64_t round = 1; round < rounds; ++round) {
    const double way = static_cast<double>(round) / static_cast<double>(rounds);
    Indices now;
    ModelSpec spec = teacher;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      now.push_back(keep_after(steps[i], spec, target.selections[i], way));
      spec = make_plan(teacher, retargeted(counting, now).steps, diagnostics).student;
    }
    keeps.push_back(std::move(now));
  }
  Indices last;
  for (const AxisSelection& selection : target.selections) last.push_back(selection.keep);
  keeps.push_back(std::move(last));
  return keeps;
}

Plan compose(const Plan& first, const Plan& second) {
  ESPALIER_CHECK(first.student == second.teacher && first.selections.size() == second.selections.size(),
                 "two plans that do not follow each other");
  refuse_several_folding(first, second);
  Plan result;
  result.teacher = first.teacher;
  result.student = second.student;
  result.scored = first.scored && second.scored;
  for (const std::int64_t layer : second.layer_of)
    result.layer_of.push_back(first.layer_of[static_cast<std::size_t>(layer)]);
  for (std::size_t i = 0; i < first.selections.size(); ++i)
    result.selections.push_back(composed(first, first.selections[i], second.selections[i]));
  return result;
}

Plan plan_rounds(const ModelSpec& teacher, const std::vector<PruneStep>& steps, std::int64_t rounds, std::int64_t last,
                 const RoundScores& scores, Diagnostics& diagnostics) {
  const auto one_round = [&](const ModelSpec& spec, std::vector<PruneStep> with, std::int64_t round) {
    for (std::size_t i = 0; i < with.size(); ++i) with[i].scores = scores(round, i);
    return make_plan(spec, with, diagnostics);
  };
  if (rounds == 1) return one_round(teacher, steps, 1);
  const std::vector<Indices> keeps = round_keeps(teacher, steps, rounds, diagnostics);
  Plan plan;
  plan.teacher = plan.student = teacher;
  for (std::int64_t round = 1; round <= last && diagnostics.empty(); ++round) {
    const Retargeted now = retargeted(steps, keeps[static_cast<std::size_t>(round) - 1]);
    Plan next = one_round(plan.student, now.steps, round);
    if (!diagnostics.empty()) break;
    plan = round == 1 ? std::move(next) : compose(plan, next);
  }
  return plan;
}

}  // namespace espalier
