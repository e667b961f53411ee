// SPDX-License-Identifier: Apache-2.0
// Randomness as a pure function of (seed, position): nothing to save, nothing to restore, the same on every machine.
#pragma once

#include <cstdint>

namespace espalier {

// splitmix64's finaliser: a bijection of 64-bit words that scatters its input.
std::uint64_t mix(std::uint64_t word);
std::uint64_t mix(std::uint64_t a, std::uint64_t b);

// Uniform in [0, 1), 53 bits, and standard normal (Box-Muller), for position i of stream `seed`.
double uniform(std::uint64_t seed, std::uint64_t position);
double normal(std::uint64_t seed, std::uint64_t position);

// A permutation of 0 … size-1 in constant memory (Feistel network with cycle walking).
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t seed);
  std::uint64_t operator()(std::uint64_t index) const;
  std::uint64_t size() const { return size_; }

 private:
  std::uint64_t size_, seed_;
  int half_bits_;
};

}  // namespace espalier
