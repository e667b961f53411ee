// SPDX-License-Identifier: Apache-2.0
#include "ranking.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {

std::string place_of(const std::string& axis, std::int64_t layer) {
  return layer < 0 ? concat("axis '", axis, "'") : concat("axis '", axis, "', layer ", layer);
}

void check_keep(const std::string& axis, std::int64_t keep, std::int64_t extent, std::int64_t step) {
  if (keep == extent || (keep >= 1 && keep < extent && keep % step == 0)) return;
  std::string expected;
  if (keep < 1 || keep > extent) {
    expected = concat("a number from ", std::min(step, extent), " to ", extent);
    if (step > 1) expected += concat(" that is a multiple of ", step);
  } else {
    const std::int64_t below = keep / step * step, above = std::min(below + step, extent);
    expected = concat("a multiple of ", step, " (nearest: ");
    if (below > 0) expected += concat(below, " or ");
    expected += concat(above, ")");
  }
  throw RecipeError(concat("keep of axis '", axis, "' is not possible; got ", keep, "; expected ", expected));
}

void check_count(const std::string& axis, std::size_t got, std::size_t count) {
  if (got == count) return;
  throw Error(concat("axis '", axis, "': wrong number of layers; got ", got, "; expected ", count));
}

std::vector<double> read_scores(const at::Tensor& scores, std::int64_t units, const std::string& place) {
  if (!scores.defined() || scores.dim() != 1 || scores.numel() != units) {
    const std::string got = scores.defined() ? concat(scores.sizes()) : std::string("none");
    throw Error(concat("scores of ", place, " have the wrong shape; got ", got, "; expected [", units, "]"));
  }
  const at::Tensor wide = scores.to(at::kCPU, at::kDouble).contiguous();
  std::vector<double> numbers(wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + units);
  for (std::int64_t unit = 0; unit < units; ++unit) {
    const double score = numbers[static_cast<std::size_t>(unit)];
    if (std::isfinite(score)) continue;
    throw Error(
        concat("scores of ", place, " are damaged; got ", score, " for unit ", unit, "; expected a finite number"));
  }
  return numbers;
}

std::vector<std::int64_t> by_rank(const std::vector<double>& scores) {
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  return order;
}

std::vector<std::int64_t> top_k(const std::vector<double>& scores, std::int64_t keep) {
  std::vector<std::int64_t> order = by_rank(scores);
  order.resize(static_cast<std::size_t>(keep));
  std::sort(order.begin(), order.end());
  return order;
}

void check_kept(const std::vector<std::int64_t>& kept, std::int64_t units, const std::string& place) {
  if (kept.empty() && units > 0) {
    throw Error(concat("selection of ", place, " is damaged; got no units; expected at least 1 of ", units));
  }
  std::int64_t previous = -1;
  for (const std::int64_t unit : kept) {
    if (unit <= previous || unit >= units) {
      throw Error(concat("selection of ", place, " is damaged; got unit ", unit, " after ", previous,
                         "; expected ascending indices below ", units));
    }
    previous = unit;
  }
}

}  // namespace espalier::plugins
