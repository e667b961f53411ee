// SPDX-License-Identifier: Apache-2.0
#include "core/report/rank_statistics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <set>

using espalier::average_ranks;
using espalier::chance_overlap;
using espalier::kendall_tau_b;
using espalier::overlap_of;
using espalier::spearman;
using espalier::top_units;

namespace {

using Values = std::vector<double>;
using Units = std::vector<std::int64_t>;

int sign(double difference) { return difference > 0 ? 1 : difference < 0 ? -1 : 0; }

// Every pair looked at: (concordant - discordant) / sqrt(pairs that a tells apart × pairs that b tells apart).
double slow_kendall(const Values& a, const Values& b) {
  double concordant_less_discordant = 0, apart_a = 0, apart_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = i + 1; j < a.size(); ++j) {
      concordant_less_discordant += sign(a[i] - a[j]) * sign(b[i] - b[j]);
      apart_a += std::abs(sign(a[i] - a[j]));
      apart_b += std::abs(sign(b[i] - b[j]));
    }
  }
  return concordant_less_discordant / std::sqrt(apart_a * apart_b);
}

// Each rank counted anew, then the product-moment correlation by its textbook sums.
double slow_spearman(const Values& a, const Values& b) {
  const auto rank = [](const Values& values, std::size_t i) {
    double below = 0, equal = 0;
    for (const double other : values) below += other < values[i], equal += other == values[i];
    return below + (equal + 1) / 2;
  };
  double x = 0, y = 0, xy = 0, xx = 0, yy = 0;
  const auto n = static_cast<double>(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double ra = rank(a, i), rb = rank(b, i);
    x += ra, y += rb, xy += ra * rb, xx += ra * ra, yy += rb * rb;
  }
  return (n * xy - x * y) / std::sqrt((n * xx - x * x) * (n * yy - y * y));
}

}  // namespace

TEST_CASE("equal values share the mean of their ranks") {
  CHECK(average_ranks(Values{7, 5, 9, 7}) == Values{2.5, 1, 4, 2.5});
  CHECK(average_ranks(Values{3, 3, 3}) == Values{2, 2, 2});
  CHECK(average_ranks(Values{}).empty());
}

TEST_CASE("rank correlations equal numbers worked by hand") {
  // Without ties rho = 1 - 6 Σd² / (n (n² - 1)): d² = 1, 1, 1, 1, 0, so 1 - 24/120. One exchange among ten pairs twice
  // over: tau = (8 - 2) / 10.
  CHECK(*spearman(Values{1, 2, 3, 4, 5}, Values{2, 1, 4, 3, 5}) == doctest::Approx(0.8));
  CHECK(*kendall_tau_b(Values{1, 2, 3, 4, 5}, Values{2, 1, 4, 3, 5}) == doctest::Approx(0.6));
  // Ranks 1 2.5 2.5 4 and 1 2 3 4: covariance 4.5 over sqrt(4.5 × 5). Five pairs agree, one is tied: 5 / sqrt(5 × 6).
  CHECK(*spearman(Values{1, 2, 2, 3}, Values{1, 2, 3, 4}) == doctest::Approx(4.5 / std::sqrt(22.5)));
  CHECK(*kendall_tau_b(Values{1, 2, 2, 3}, Values{1, 2, 3, 4}) == doctest::Approx(5 / std::sqrt(30.0)));
  CHECK(*spearman(Values{1, 2, 3}, Values{30, 20, 10}) == doctest::Approx(-1));
  CHECK(*kendall_tau_b(Values{1, 2, 3}, Values{30, 20, 10}) == doctest::Approx(-1));
}

TEST_CASE("a side that does not tell units apart has no correlation") {
  CHECK_FALSE(spearman(Values{1, 2, 3}, Values{4, 4, 4}).has_value());
  CHECK_FALSE(kendall_tau_b(Values{4, 4, 4}, Values{1, 2, 3}).has_value());
  CHECK_FALSE(spearman(Values{1}, Values{2}).has_value());
  CHECK_FALSE(kendall_tau_b(Values{}, Values{}).has_value());
}

TEST_CASE("rank correlations equal slow formulas on many lists with ties") {
  std::mt19937 random(3);
  for (int size = 2; size < 60; ++size) {
    std::uniform_int_distribution<int> value(0, size / 2 + 1);
    Values a(static_cast<std::size_t>(size)), b(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = value(random), b[i] = value(random) + 0.3 * a[i];
    if (!spearman(a, b)) continue;
    CAPTURE(size);
    // Both sum the same few numbers in float64, in another order.
    CHECK(*spearman(a, b) == doctest::Approx(slow_spearman(a, b)).epsilon(1e-12));
    CHECK(*kendall_tau_b(a, b) == doctest::Approx(slow_kendall(a, b)).epsilon(1e-12));
  }
}

TEST_CASE("the top units are the highest, ties to the lower index") {
  CHECK(top_units(Values{1, 5, 3, 5, 3}, 3) == Units{1, 2, 3});
  CHECK(top_units(Values{1, 5}, 0).empty());
}

TEST_CASE("overlap counts units in both sets") {
  const auto overlap = overlap_of(Units{0, 1, 2, 5}, Units{1, 2, 3, 4});
  CHECK(overlap.share == doctest::Approx(2.0 / 4));
  CHECK(overlap.jaccard == doctest::Approx(2.0 / 6));
}

TEST_CASE("what chance would have in common equals the mean over all pairs of choices") {
  // 2 of 4: nothing in common with probability 1/6, one unit 4/6, both 1/6; jaccard 0, 1/3, 1.
  CHECK(chance_overlap(4, 2).jaccard == doctest::Approx(7.0 / 18));
  for (const auto& [n, k] : {std::pair{5, 2}, {6, 3}, {7, 5}, {4, 4}, {5, 1}}) {
    std::vector<Units> choices;
    for (int mask = 0; mask < 1 << n; ++mask) {
      Units units;
      for (int i = 0; i < n; ++i)
        if (mask >> i & 1) units.push_back(i);
      if (static_cast<int>(units.size()) == k) choices.push_back(units);
    }
    double share = 0, jaccard = 0;
    for (const Units& a : choices) {
      for (const Units& b : choices) {
        std::set<std::int64_t> both(a.begin(), a.end()), either = both;
        either.insert(b.begin(), b.end());
        const double common = static_cast<double>(a.size() + b.size() - either.size());
        share += common / k, jaccard += common / static_cast<double>(either.size());
      }
    }
    const auto pairs = static_cast<double>(choices.size() * choices.size());
    CAPTURE(n);
    CAPTURE(k);
    CHECK(chance_overlap(n, k).share == doctest::Approx(share / pairs));
    CHECK(chance_overlap(n, k).jaccard ==
          doctest::Approx(jaccard / pairs).epsilon(1e-9));  // by logarithms of factorials
  }
}
