// SPDX-License-Identifier: Apache-2.0
#include "core/report/rank_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace espalier {

namespace {

std::vector<std::size_t> order_of(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return values[i] < values[j]; });
  return order;
}

// Pairs among `count` equal units.
std::int64_t pairs(std::int64_t count) { return count * (count - 1) / 2; }

// Pairs of neighbours in `sorted` that are equal, over whole stretches of equal elements.
template <class T>
std::int64_t tied_pairs(const std::vector<T>& sorted) {
  std::int64_t total = 0, stretch = 1;
  for (std::size_t i = 1; i <= sorted.size(); ++i) {
    if (i < sorted.size() && sorted[i] == sorted[i - 1]) {
      ++stretch;
      continue;
    }
    total += pairs(stretch);
    stretch = 1;
  }
  return total;
}

// Sorts [begin, end) and returns how many pairs stood the wrong way round.
std::int64_t sort_counting(std::vector<double>& values, std::vector<double>& buffer, std::size_t begin,
                           std::size_t end) {
  if (end - begin < 2) return 0;
  const std::size_t middle = begin + (end - begin) / 2;
  std::int64_t exchanges = sort_counting(values, buffer, begin, middle) + sort_counting(values, buffer, middle, end);
  std::size_t left = begin, right = middle;
  for (std::size_t out = begin; out < end; ++out) {
    const bool from_right = left == middle || (right < end && values[right] < values[left]);
    if (from_right) exchanges += static_cast<std::int64_t>(middle - left);
    buffer[out] = from_right ? values[right++] : values[left++];
  }
  std::copy(buffer.begin() + static_cast<std::ptrdiff_t>(begin), buffer.begin() + static_cast<std::ptrdiff_t>(end),
            values.begin() + static_cast<std::ptrdiff_t>(begin));
  return exchanges;
}

double log_choose(std::int64_t n, std::int64_t k) {
  return std::lgamma(static_cast<double>(n) + 1) - std::lgamma(static_cast<double>(k) + 1) -
         std::lgamma(static_cast<double>(n - k) + 1);
}

}  // namespace

std::vector<double> average_ranks(std::span<const double> values) {
  const std::vector<std::size_t> order = order_of(values);
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = 0.5 * static_cast<double>(begin + 1 + end);
    begin = end;
  }
  return ranks;
}

std::optional<double> spearman(std::span<const double> a, std::span<const double> b) {
  const std::vector<double> x = average_ranks(a), y = average_ranks(b);
  const double mean = 0.5 * (static_cast<double>(x.size()) + 1);
  double xy = 0.0, xx = 0.0, yy = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  if (xx == 0.0 || yy == 0.0) return std::nullopt;
  return xy / std::sqrt(xx * yy);
}

std::optional<double> kendall_tau_b(std::span<const double> a, std::span<const double> b) {
  std::vector<std::pair<double, double>> both(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) both[i] = {a[i], b[i]};
  std::sort(both.begin(), both.end());
  std::vector<double> first(a.size()), second(a.size()), buffer(a.size());
  std::transform(both.begin(), both.end(), first.begin(), [](const auto& pair) { return pair.first; });
  std::transform(both.begin(), both.end(), second.begin(), [](const auto& pair) { return pair.second; });
  const std::int64_t all = pairs(static_cast<std::int64_t>(a.size())), tied_both = tied_pairs(both),
                     tied_a = tied_pairs(first);
  const std::int64_t discordant = sort_counting(second, buffer, 0, second.size()), tied_b = tied_pairs(second);
  if (all == tied_a || all == tied_b) return std::nullopt;
  const std::int64_t concordant_less_discordant = all - tied_a - tied_b + tied_both - 2 * discordant;
  return static_cast<double>(concordant_less_discordant) /
         std::sqrt(static_cast<double>(all - tied_a) * static_cast<double>(all - tied_b));
}

std::vector<std::int64_t> top_units(std::span<const double> scores, std::int64_t k) {
  std::vector<std::int64_t> units(scores.size());
  std::iota(units.begin(), units.end(), std::int64_t{0});
  std::stable_sort(units.begin(), units.end(), [&](std::int64_t i, std::int64_t j) {
    return scores[static_cast<std::size_t>(i)] > scores[static_cast<std::size_t>(j)];
  });
  units.resize(static_cast<std::size_t>(k));
  std::sort(units.begin(), units.end());
  return units;
}

Overlap overlap_of(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  std::vector<std::int64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  const auto common = static_cast<double>(both.size());
  return {common / static_cast<double>(std::min(a.size(), b.size())),
          common / (static_cast<double>(a.size() + b.size()) - common)};
}

Overlap chance_overlap(std::int64_t n, std::int64_t k) {
  Overlap chance{static_cast<double>(k) / static_cast<double>(n), 0.0};
  for (std::int64_t x = std::max<std::int64_t>(0, 2 * k - n); x <= k; ++x) {
    const double probability = std::exp(log_choose(k, x) + log_choose(n - k, k - x) - log_choose(n, k));
    chance.jaccard += probability * static_cast<double>(x) / static_cast<double>(2 * k - x);
  }
  return chance;
}

}  // namespace espalier
