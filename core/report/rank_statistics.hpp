// SPDX-License-Identifier: Apache-2.0
// How alike two orders of the same units are, and two sets chosen from them. Pure arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace espalier {

// Ranks from 1, equal values share the mean of their places: 5 7 7 9 → 1 2.5 2.5 4.
std::vector<double> average_ranks(std::span<const double> values);

// Spearman's rho with ties: the product-moment correlation of the average ranks (Spearman 1904; Kendall, Rank
// Correlation Methods, ch. 3). None for fewer than two units, or when one side does not tell them apart.
std::optional<double> spearman(std::span<const double> a, std::span<const double> b);

// Kendall's tau-b = (C - D) / sqrt((P - Ta) (P - Tb)): concordant less discordant pairs, P pairs in all, Ta and Tb of
// them tied on a side (Kendall 1945). In O(n log n) by counting the exchanges of a merge sort (Knight 1966).
std::optional<double> kendall_tau_b(std::span<const double> a, std::span<const double> b);

// The k units with the highest scores, ascending; ties go to the lower index, as axes choose.
std::vector<std::int64_t> top_units(std::span<const double> scores, std::int64_t k);

// Of two sets of units, both ascending. share: units in both / units of the smaller set. jaccard: units in both / units
// in either (Jaccard 1912).
struct Overlap {
  double share = 0.0, jaccard = 0.0;
};
Overlap overlap_of(std::span<const std::int64_t> a, std::span<const std::int64_t> b);

// What two independent uniform choices of k among n have in common on average. The number in both is hypergeometric:
// its mean is k²/n, so that share is k/n; jaccard is the mean of x / (2k - x). 0 < k ≤ n.
Overlap chance_overlap(std::int64_t n, std::int64_t k);

}  // namespace espalier
