// SPDX-License-Identifier: Apache-2.0
#include "core/search/grid.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "core/base/error.hpp"

namespace espalier {
namespace {

// The layers of a spec that differ, and for each layer which of them it is.
struct Kinds {
  ModelSpec spec;
  std::vector<std::size_t> of;
};

Kinds kinds_of(const ModelSpec& spec) {
  Kinds kinds{spec, {}};
  std::vector<LayerSpec>& different = kinds.spec.layers;
  different.clear();
  for (const LayerSpec& layer : spec.layers) {
    const auto found = std::find(different.begin(), different.end(), layer);
    kinds.of.push_back(static_cast<std::size_t>(found - different.begin()));
    if (found == different.end()) different.push_back(layer);
  }
  return kinds;
}

ModelSpec spec_after(const PruneStep& step, const ModelSpec& spec, std::int64_t keep) {
  if (step.axis->describe().dims == std::vector<Dim>{Dim::layers})
    return shrunk(spec, *step.axis, step.axis_name, keep);
  const Kinds kinds = kinds_of(spec);
  ModelSpec result = shrunk(kinds.spec, *step.axis, step.axis_name, keep);
  const std::vector<LayerSpec> different = std::move(result.layers);
  result.layers.clear();
  for (const std::size_t kind : kinds.of) result.layers.push_back(different.at(kind));
  return result;
}

class Enumeration {
 public:
  Enumeration(const std::vector<GridAxis>& axes, Diagnostics& diagnostics,
              const std::function<void(GridPoint)>& on_point)
      : axes_(axes), diagnostics_(diagnostics), on_point_(on_point) {}

  void from(const ModelSpec& spec) {
    const std::size_t i = keep_.size();
    if (i == axes_.size()) return on_point_({keep_, spec});
    for (const std::int64_t keep : sizes(i, spec)) {
      const ModelSpec next = spec_after(axes_[i].step, spec, keep);
      keep_.push_back(keep);
      from(next);
      keep_.pop_back();
    }
  }

  std::int64_t left_out() const { return static_cast<std::int64_t>(beyond_.size()); }

 private:
  // The legal sizes of axis i at this point of the grid, in the recipe's order, each once.
  std::vector<std::int64_t> sizes(std::size_t i, const ModelSpec& spec) {
    const GridAxis& axis = axes_[i];
    if (axis.sizes == nullptr) return fixed(i, spec);
    if (axis.sizes->max_removed) return shares(i, spec);
    std::vector<std::int64_t> result;
    const auto offer = [&](std::int64_t keep, const Where& where) {
      if (!legal_keep(*axis.step.axis, spec, keep)) return refuse(i, spec, keep, where);
      if (std::find(result.begin(), result.end(), keep) == result.end()) result.push_back(keep);
    };
    if (axis.sizes->from) {
      const std::int64_t step = axis.sizes->step.value_or(step_of(i, spec));
      for (std::int64_t keep = *axis.sizes->from; keep <= *axis.sizes->to; keep += step)
        offer(keep, axis.sizes->sizes_where);
      return result;
    }
    const std::optional<std::int64_t> base = base_of(*axis.sizes);
    for (std::size_t k = 0; k < axis.sizes->keep.size(); ++k) {
      const double number = axis.sizes->keep[k];
      if (!base) {
        offer(static_cast<std::int64_t>(number), axis.sizes->keep_where[k]);
      } else if (const auto keep = multiple(i, spec, number * static_cast<double>(*base))) {
        offer(*keep, axis.sizes->keep_where[k]);
      } else {
        beyond_.emplace(i, number, *base);
      }
    }
    return result;
  }

  std::vector<std::int64_t> fixed(std::size_t i, const ModelSpec& spec) {
    Diagnostics mine;
    const std::optional<std::int64_t> keep = resolve_keep(axes_[i].step, spec, mine);
    if (keep) return {*keep};
    if (told_.emplace(i, 0).second) resolve_keep(axes_[i].step, spec, diagnostics_);
    return {};
  }

  std::vector<std::int64_t> shares(std::size_t i, const ModelSpec& spec) {
    const SearchAxis& sizes = *axes_[i].sizes;
    const std::int64_t unit = step_of(i, spec), step = sizes.step.value_or(unit);
    if (step % unit == 0) return sizes_by_share(axes_[i].step.axis->extent(spec), step, *sizes.max_removed);
    if (told_.emplace(i, step).second) {
      diagnostics_.error(sizes.step_where, "search",
                         fmt::format("step of axis '{}' is not one it can take", axes_[i].step.axis_name),
                         std::to_string(step), fmt::format("a multiple of {}", unit));
    }
    return {};
  }

  void refuse(std::size_t i, const ModelSpec& spec, std::int64_t keep, const Where& where) {
    if (!told_.emplace(i, keep).second) return;
    const PruneStep& step = axes_[i].step;
    const bool outside = keep < 1 || keep > step.axis->extent(spec);
    diagnostics_.error(where, "search",
                       fmt::format("{} of axis '{}' is {}", axes_[i].sizes->from ? "range" : "keep", step.axis_name,
                                   outside ? "out of range" : "not a size it can give"),
                       std::to_string(keep), legal_keeps(*step.axis, spec, keep));
  }

  // The legal size nearest to a wish that another axis's size leads to; nullopt: more than there is.
  std::optional<std::int64_t> multiple(std::size_t i, const ModelSpec& spec, double wish) const {
    const std::int64_t extent = axes_[i].step.axis->extent(spec), unit = step_of(i, spec);
    if (std::llround(wish) == extent) return extent;
    const std::int64_t keep = std::max<std::int64_t>(1, std::llround(wish / static_cast<double>(unit))) * unit;
    return keep <= extent ? std::optional(keep) : std::nullopt;
  }

  // The size that the axis of `ratio_of` has at this point; nullopt: the sizes are plain.
  std::optional<std::int64_t> base_of(const SearchAxis& sizes) const {
    if (!sizes.ratio_of) return std::nullopt;
    for (std::size_t i = keep_.size(); i-- > 0;) {
      if (axes_[i].step.axis_name == *sizes.ratio_of) return keep_[i];
    }
    ESPALIER_CHECK(false, "ratio_of without an earlier axis '", *sizes.ratio_of, "'");
  }

  std::int64_t step_of(std::size_t i, const ModelSpec& spec) const {
    return std::max<std::int64_t>(1, axes_[i].step.axis->step(spec));
  }

  const std::vector<GridAxis>& axes_;
  Diagnostics& diagnostics_;
  const std::function<void(GridPoint)>& on_point_;
  std::vector<std::int64_t> keep_;
  std::set<std::pair<std::size_t, std::int64_t>> told_;
  std::set<std::tuple<std::size_t, double, std::int64_t>> beyond_;
};

}  // namespace

std::int64_t enumerate(const ModelSpec& teacher, const std::vector<GridAxis>& axes, Diagnostics& diagnostics,
                       const std::function<void(GridPoint)>& on_point) {
  Enumeration enumeration(axes, diagnostics, on_point);
  enumeration.from(teacher);
  return enumeration.left_out();
}

std::vector<std::int64_t> sizes_by_share(std::int64_t extent, std::int64_t step, double max_removed) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = step; size < extent; size += step) sizes.push_back(size);
  sizes.push_back(extent);
  // A product that is a whole number but for its rounding counts as that number.
  const double dropped = (1.0 - max_removed) * static_cast<double>(sizes.size());
  const auto smallest = static_cast<std::ptrdiff_t>(std::floor(dropped + 1e-9));
  sizes.erase(sizes.begin(), sizes.begin() + std::min<std::ptrdiff_t>(smallest, std::ssize(sizes) - 1));
  return sizes;
}

}  // namespace espalier
