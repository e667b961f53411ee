// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/match.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/strings.hpp"
#include "core/forward/model.hpp"
#include "core/run/prune_steps.hpp"
#include "core/run/search.hpp"
#include "core/run/stages.hpp"
#include "core/search/throughput.hpp"

namespace espalier {
namespace {

constexpr double kTolerance = 0.01;

// Tokens per second of shapes, each measured once and kept in the sweep's folder.
class Speeds {
 public:
  explicit Speeds(const fs::path& folder) : path_(folder / "throughput.json") {
    if (fs::exists(path_)) known_ = read_json(path_);
  }
  double of(const ModelSpec& spec, const Bound& bound, Compute compute) {
    const std::string where = compute.device.is_cpu() ? "" : " " + compute.device.str();
    const std::string key =
        digest_of(fmt::format("{} {} × {}{}", spec_to_json(spec).dump(), bound.batch, bound.basis.seq_length, where));
    if (!known_.contains(key)) {
      Model model(spec, 0, compute);
      known_[key] = tokens_per_second(model, bound.batch, bound.basis.seq_length);
      write_json(path_, known_);
    }
    return known_[key].get<double>();
  }

 private:
  fs::path path_;
  nlohmann::json known_ = nlohmann::json::object();
};

std::string number_text(double number) { return with_commas(std::llround(number)); }

class Solver {
 public:
  Solver(const SweepRecipe& sweep, const Registry& registry, Compute compute, Diagnostics& diagnostics)
      : sweep_(sweep), registry_(registry), compute_(compute), diagnostics_(diagnostics), speeds_(sweep.output) {}

  double value(const Run& run, const ModelSpec& student) {
    const Bound bound = bound_of(sweep_.sweep.match->budget, count_basis(run));
    if (bound.is_measured()) return speeds_.of(student, bound, run.compute());
    return static_cast<double>(measure(bound, student));
  }

  double value_of_fixed(const ArmRecipe& arm) {
    const Run run(arm.recipe, registry_, compute_);
    return value(run, plan_from_config(run).student);
  }

  // Gives the arm's free block its size. The number that it leads to.
  double solve(ArmRecipe& arm, double target) {
    const Run run(arm.recipe, registry_, compute_);
    const PruneSteps steps(run);
    const std::size_t free = free_block(arm);
    const std::vector<std::int64_t> sizes = legal_sizes(run, steps, free);
    const NearestSize nearest =
        nearest_size(sizes, target, [&](std::int64_t keep) { return value(run, student_of(run, steps, free, keep)); });
    PruneBlock& block = arm.recipe.prune[free];
    block.keep = nearest.best.keep;
    block.ratio.reset();
    near_[arm.arm.name] = nearest;
    return nearest.best.value;
  }

  void check(const ArmRecipe& arm, double value, double target, double tolerance) {
    if (std::abs(value - target) <= tolerance * target * (1.0 + 1e-12)) return;
    const std::string& by = sweep_.sweep.match->budget.by;
    const std::string expected = fmt::format("{} to {}", number_text(std::ceil(target * (1.0 - tolerance) - 1e-6)),
                                             number_text(std::floor(target * (1.0 + tolerance) + 1e-6)));
    const auto solved = near_.find(arm.arm.name);
    if (solved == near_.end()) {
      diagnostics_.error(arm.arm.where, "sweep", fmt::format("arm '{}' does not match in {}", arm.arm.name, by),
                         number_text(value), expected + ", or free = \"…\", an axis whose size may change");
      return;
    }
    const auto point = [&](const NearestSize::Point& at) {
      return fmt::format("{} with {} {}", number_text(at.value), arm.arm.free, at.keep);
    };
    std::string got = point(solved->second.best);
    if (solved->second.other) got += ", " + point(*solved->second.other);
    diagnostics_.error(arm.arm.free_where, "sweep",
                       fmt::format("no {} of arm '{}' matches in {}", arm.arm.free, arm.arm.name, by), got, expected);
  }

 private:
  static std::size_t free_block(const ArmRecipe& arm) {
    const std::vector<PruneBlock>& blocks = arm.recipe.prune;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (blocks[i].axis->name == arm.arm.free) return i;
    }
    ESPALIER_CHECK(false, "arm ", arm.arm.name, " without its free block");
  }

  // The sizes that the free block can take once the blocks before it have cut.
  std::vector<std::int64_t> legal_sizes(const Run& run, const PruneSteps& steps, std::size_t free) {
    const ModelSpec spec = after(run.teacher_spec(), steps, 0, free);
    const PruningAxis& axis = *steps.list()[free].axis;
    std::vector<std::int64_t> sizes;
    for (std::int64_t keep = 1; keep <= axis.extent(spec); ++keep) {
      if (legal_keep(axis, spec, keep)) sizes.push_back(keep);
    }
    return sizes;
  }

  static ModelSpec after(ModelSpec spec, const PruneSteps& steps, std::size_t begin, std::size_t end) {
    Diagnostics diagnostics;
    for (std::size_t i = begin; i < end; ++i) {
      const PruneStep& step = steps.list()[i];
      const std::optional<std::int64_t> keep = resolve_keep(step, spec, diagnostics);
      diagnostics.throw_if_any();
      spec = shrunk(spec, *step.axis, step.axis_name, *keep);
    }
    return spec;
  }

  static ModelSpec student_of(const Run& run, const PruneSteps& steps, std::size_t free, std::int64_t keep) {
    ModelSpec spec = after(run.teacher_spec(), steps, 0, free);
    const PruneStep& step = steps.list()[free];
    spec = shrunk(spec, *step.axis, step.axis_name, keep);
    return after(std::move(spec), steps, free + 1, steps.list().size());
  }

  const SweepRecipe& sweep_;
  const Registry& registry_;
  Compute compute_;
  Diagnostics& diagnostics_;
  Speeds speeds_;
  std::map<std::string, NearestSize> near_;
};

}  // namespace

NearestSize nearest_size(const std::vector<std::int64_t>& sizes, double target,
                         const std::function<double(std::int64_t keep)>& value) {
  ESPALIER_CHECK(!sizes.empty(), "an axis without a legal size");
  std::size_t low = 0, high = sizes.size() - 1;
  double low_value = value(sizes[low]), high_value = low == high ? low_value : value(sizes[high]);
  const double direction = high_value < low_value ? -1.0 : 1.0;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    const double at = value(sizes[middle]);
    if (direction * (at - target) < 0.0) {
      low = middle, low_value = at;
    } else {
      high = middle, high_value = at;
    }
  }
  NearestSize nearest;
  const NearestSize::Point below{sizes[low], low_value}, above{sizes[high], high_value};
  // Of two that are as near the smaller one.
  const bool first = std::abs(low_value - target) <= std::abs(high_value - target);
  nearest.best = first ? below : above;
  const bool between = (low_value - target) * (high_value - target) < 0.0;
  if (between) nearest.other = first ? above : below;
  return nearest;
}

Matched solve(const SweepRecipe& sweep, const SweepTeacher& teacher, std::vector<ArmRecipe>& arms,
              const Registry& registry, Compute compute, Diagnostics& diagnostics) {
  const SearchBudget& budget = sweep.sweep.match->budget;
  Solver solver(sweep, registry, compute, diagnostics);
  Matched matched{teacher.name, budget.by, budget.tolerance.value_or(kTolerance), budget.target.value_or(0.0), {}};
  for (const ArmRecipe& arm : arms) {
    if (arm.arm.name == sweep.match_to) matched.target = solver.value_of_fixed(arm);
  }
  for (ArmRecipe& arm : arms) {
    const double value = arm.arm.free.empty() ? solver.value_of_fixed(arm) : solver.solve(arm, matched.target);
    matched.values.emplace_back(arm.arm.name, value);
    solver.check(arm, value, matched.target, matched.tolerance);
  }
  return matched;
}

}  // namespace espalier
