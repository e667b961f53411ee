// SPDX-License-Identifier: Apache-2.0
#include "core/search/candidates.hpp"

#include <algorithm>

#include "core/base/strings.hpp"

namespace espalier {
namespace {

const SearchAxis* sizes_of(const SearchBlock& search, const std::string& axis) {
  for (const SearchAxis& entry : search.axes) {
    if (entry.axis == axis) return &entry;
  }
  return nullptr;
}

std::string name_of_point(const Candidates& all, const SearchBlock& search, const std::vector<std::int64_t>& keep) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (sizes_of(search, all.axes[i]) != nullptr) parts.push_back(all.axes[i] + std::to_string(keep[i]));
  }
  return join(parts, "-");
}

// The points nearest to the budgets, for the message when none is inside.
class Nearest {
 public:
  explicit Nearest(const std::vector<Bound>& bounds) : bounds_(bounds) {}

  void offer(const std::string& name, const ModelSpec& student) {
    Point point{0.0, name + ": "};
    std::vector<std::string> numbers;
    for (const Bound& bound : bounds_) {
      if (bound.is_measured()) continue;
      const std::int64_t value = measure(bound, student);
      point.excess = std::max(point.excess, excess(bound, value));
      numbers.push_back(bound.by + " " + with_commas(value));
    }
    point.text += join(numbers, ", ");
    const auto place = std::upper_bound(points_.begin(), points_.end(), point,
                                        [](const Point& a, const Point& b) { return a.excess < b.excess; });
    points_.insert(place, std::move(point));
    if (points_.size() > 3) points_.pop_back();
  }

  void report(const SearchBlock& search, std::int64_t points, Diagnostics& diagnostics) const {
    std::vector<std::string> budgets;
    for (const Bound& bound : bounds_) budgets.push_back(describe(bound));
    diagnostics.error(search.where, "search", "no point of the grid meets the budgets",
                      points == 1 ? "1 point" : with_commas(points) + " points", join(budgets, ", and "));
    for (const Point& point : points_) diagnostics.note("nearest: " + point.text);
  }

 private:
  struct Point {
    double excess;
    std::string text;
  };
  const std::vector<Bound>& bounds_;
  std::vector<Point> points_;
};

}  // namespace

bool within(const std::vector<Bound>& bounds, const ModelSpec& student) {
  return std::all_of(bounds.begin(), bounds.end(), [&](const Bound& bound) {
    return bound.is_measured() || excess(bound, measure(bound, student)) == 0.0;
  });
}

Candidate describe_candidate(const Candidates& all, const SearchBlock& search, std::vector<std::int64_t> keep,
                             ModelSpec student) {
  Candidate candidate;
  candidate.name = name_of_point(all, search, keep);
  candidate.keep = std::move(keep);
  candidate.counts = count(student, all.basis.bytes_per_element, all.basis.seq_length);
  candidate.memory = memory_bytes(candidate.counts, all.memory_tokens);
  candidate.legality = legality_of(student);
  candidate.student = std::move(student);
  return candidate;
}

Candidates find_candidates(const ModelSpec& teacher, const std::vector<PruneStep>& steps, const SearchBlock& search,
                           const CountBasis& basis, Diagnostics& diagnostics) {
  Candidates all;
  all.bounds = bounds_of(search, basis);
  all.basis = basis;
  all.memory_tokens = basis.seq_length;
  for (const Bound& bound : all.bounds) {
    if (bound.by == "memory") all.memory_tokens = bound.batch * bound.basis.seq_length;
  }
  std::vector<GridAxis> axes;
  for (const PruneStep& step : steps) {
    all.axes.push_back(step.axis_name);
    axes.push_back({step, sizes_of(search, step.axis_name)});
  }
  const std::size_t before = diagnostics.size();
  Nearest nearest(all.bounds);
  all.left_out = enumerate(teacher, axes, diagnostics, [&](GridPoint point) {
    ++all.points;
    if (within(all.bounds, point.student)) {
      all.list.push_back(describe_candidate(all, search, std::move(point.keep), std::move(point.student)));
    } else if (all.list.empty()) {
      nearest.offer(name_of_point(all, search, point.keep), point.student);
    }
  });
  if (diagnostics.size() != before) {
    all.list.clear();
  } else if (all.list.empty()) {
    nearest.report(search, all.points, diagnostics);
  }
  std::stable_sort(all.list.begin(), all.list.end(),
                   [](const Candidate& a, const Candidate& b) { return a.counts.parameters > b.counts.parameters; });
  return all;
}

}  // namespace espalier
