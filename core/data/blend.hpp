// SPDX-License-Identifier: Apache-2.0
// Which source gives sequence i, without drawing lots and without counting up from 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace espalier {

// A binary tree over the sources. Each inner node deals its sequences to its two sides as Bresenham draws a line, so
// every side is at all times within one sequence of its share: among n sources the count of each is off by no more than
// about log2(n), and after a whole period (the sum of the shares) by nothing.
class Blend {
 public:
  // Shares are positive; they are scaled down together if their sum is beyond 2^31.
  explicit Blend(const std::vector<std::uint64_t>& shares);

  struct Turn {
    std::size_t source;
    std::uint64_t ordinal;  // how many sequences before this one came from the same source
  };
  Turn operator()(std::uint64_t sequence) const;

 private:
  std::uint64_t sum(std::size_t first, std::size_t last) const { return before_[last] - before_[first]; }
  std::vector<std::uint64_t> before_;  // running sums of the shares
};

// Whole shares for weights that are real numbers.
std::vector<std::uint64_t> shares_of(const std::vector<double>& weights);

}  // namespace espalier
