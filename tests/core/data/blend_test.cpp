// SPDX-License-Identifier: Apache-2.0
#include "core/data/blend.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

using espalier::Blend;
using Shares = std::vector<std::uint64_t>;

TEST_CASE("ordinals of each source count up without a gap, and shares are kept at all times") {
  for (const Shares& shares : {Shares{1}, Shares{1, 1}, Shares{3, 7}, Shares{50, 1, 1, 30, 18}, Shares{1, 1000, 2}}) {
    const Blend blend(shares);
    const double total = static_cast<double>(std::accumulate(shares.begin(), shares.end(), std::uint64_t{0}));
    std::vector<std::uint64_t> counts(shares.size(), 0);
    for (std::uint64_t i = 0; i < 5000; ++i) {
      const Blend::Turn turn = blend(i);
      REQUIRE(turn.ordinal == counts[turn.source]);
      ++counts[turn.source];
      for (std::size_t s = 0; s < shares.size(); ++s) {
        const double due = static_cast<double>(i + 1) * static_cast<double>(shares[s]) / total;
        REQUIRE(std::abs(static_cast<double>(counts[s]) - due) < 2.0);
      }
    }
  }
}

TEST_CASE("after a whole period every source has given exactly its share") {
  const Shares shares = {5, 11, 2, 7, 1, 19};
  const Blend blend(shares);
  for (std::uint64_t period = 0; period < 3; ++period) {
    Shares counts(shares.size(), 0);
    for (std::uint64_t i = 0; i < 45; ++i) ++counts[blend(period * 45 + i).source];
    CHECK(counts == shares);
  }
}

TEST_CASE("a far sequence costs no more than a near one, and stays exact") {
  const Blend blend({999'999'937, 1'000'000'007});
  const std::uint64_t far = std::uint64_t{1} << 61;
  std::uint64_t next[2] = {0, 0};
  bool started[2] = {false, false};
  for (std::uint64_t i = far; i < far + 1000; ++i) {
    const Blend::Turn turn = blend(i);
    if (started[turn.source]) CHECK(turn.ordinal == next[turn.source]);
    started[turn.source] = true;
    next[turn.source] = turn.ordinal + 1;
  }
  CHECK(started[0]);
  CHECK(started[1]);
}

TEST_CASE("shares beyond 32 bits are scaled down together") {
  const Blend blend({std::uint64_t{3} << 40, std::uint64_t{1} << 40});
  int first = 0;
  for (std::uint64_t i = 0; i < 4000; ++i) first += blend(i).source == 0 ? 1 : 0;
  CHECK(std::abs(first - 3000) <= 1);
}

TEST_CASE("weights become shares in their proportion, and none becomes nothing") {
  CHECK(espalier::shares_of({3.0, 1.0}) == Shares{750'000'000, 250'000'000});
  CHECK(espalier::shares_of({1.0, 1e-30}) == Shares{1'000'000'000, 1});
}
