// SPDX-License-Identifier: Apache-2.0
#include "core/base/random.hpp"

#include <bit>
#include <cmath>
#include <numbers>

#include "core/base/error.hpp"

namespace espalier {

std::uint64_t mix(std::uint64_t word) {
  word += 0x9e3779b97f4a7c15ULL;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
  return word ^ (word >> 31);
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return mix(mix(a) ^ b); }

double uniform(std::uint64_t seed, std::uint64_t position) {
  return static_cast<double>(mix(seed, position) >> 11) * 0x1.0p-53;
}

double normal(std::uint64_t seed, std::uint64_t position) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform(seed, 2 * position)));  // 1 - u is never 0
  return radius * std::cos(2.0 * std::numbers::pi * uniform(seed, 2 * position + 1));
}

Permutation::Permutation(std::uint64_t size, std::uint64_t seed) : size_(size), seed_(seed) {
  ESPALIER_CHECK(size > 0);
  half_bits_ = std::max(1, (static_cast<int>(std::bit_width(size - 1)) + 1) / 2);
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  ESPALIER_CHECK(index < size_, index, " of ", size_);
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  do {  // the network permutes a power of four; walk the cycle until it lands inside
    std::uint64_t left = index >> half_bits_, right = index & mask;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const std::uint64_t next = left ^ (mix(seed_ + round, right) & mask);
      left = right;
      right = next;
    }
    index = left << half_bits_ | right;
  } while (index >= size_);
  return index;
}

}  // namespace espalier
