// SPDX-License-Identifier: Apache-2.0
#include "core/base/random.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.hpp"

using espalier::Permutation;

TEST_CASE("mix is splitmix64: the words of its first outputs from seed 0 are the published ones") {
  CHECK(espalier::mix(0) == 0xe220a8397b1dcdafULL);
  CHECK(espalier::mix(0x9e3779b97f4a7c15ULL) == 0x6e789e6aa1b965f4ULL);
  CHECK(espalier::mix(1, 2) != espalier::mix(2, 1));
}

TEST_CASE("uniform numbers lie in [0, 1) with the mean and variance of the uniform distribution") {
  constexpr int kCount = 100000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double u = espalier::uniform(7, static_cast<std::uint64_t>(i));
    REQUIRE(u >= 0.0);
    REQUIRE(u < 1.0);
    sum += u;
    squares += u * u;
  }
  const double mean = sum / kCount;
  CHECK(std::abs(mean - 0.5) < 0.005);
  CHECK(std::abs(squares / kCount - mean * mean - 1.0 / 12.0) < 0.002);
}

TEST_CASE("normal numbers have mean 0, variance 1 and the tails of a normal distribution") {
  constexpr int kCount = 100000;
  double sum = 0, squares = 0;
  int beyond_two = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = espalier::normal(7, static_cast<std::uint64_t>(i));
    REQUIRE(std::isfinite(x));
    sum += x;
    squares += x * x;
    beyond_two += std::abs(x) > 2.0 ? 1 : 0;
  }
  CHECK(std::abs(sum / kCount) < 0.015);
  CHECK(std::abs(squares / kCount - 1.0) < 0.02);
  CHECK(std::abs(beyond_two / double{kCount} - 0.0455) < 0.004);
}

TEST_CASE("a number depends on its seed and its position, and on nothing else") {
  CHECK(espalier::uniform(1, 5) == espalier::uniform(1, 5));
  CHECK(espalier::uniform(1, 5) != espalier::uniform(1, 6));
  CHECK(espalier::uniform(1, 5) != espalier::uniform(2, 5));
}

TEST_CASE("a permutation reaches every index once, at any size") {
  for (const std::uint64_t size : {1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097}) {
    const Permutation permutation(size, 42);
    std::vector<int> seen(size, 0);
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::uint64_t image = permutation(i);
      REQUIRE(image < size);
      ++seen[image];
    }
    for (const int count : seen) REQUIRE(count == 1);
  }
}

TEST_CASE("permutations of different seeds differ, and a permutation scatters its neighbours") {
  constexpr std::uint64_t kSize = 1000;
  const Permutation one(kSize, 1), two(kSize, 2);
  int same = 0, neighbours = 0;
  for (std::uint64_t i = 0; i < kSize; ++i) {
    same += one(i) == two(i) ? 1 : 0;
    if (i > 0) neighbours += one(i) == one(i - 1) + 1 ? 1 : 0;
  }
  CHECK(same < 10);        // about 1 is expected
  CHECK(neighbours < 10);  // about 1 is expected
}

TEST_CASE("a permutation of billions costs nothing to make") {
  const Permutation permutation(std::uint64_t{1} << 40, 3);
  CHECK(permutation(0) < permutation.size());
  CHECK(permutation(0) != permutation(1));
}

TEST_CASE("an index beyond the permutation is our bug") {
  CHECK_THROWS_AS(Permutation(5, 0)(5), espalier::InternalError);
  CHECK_THROWS_AS(Permutation(0, 0), espalier::InternalError);
}
