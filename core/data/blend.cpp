// SPDX-License-Identifier: Apache-2.0
#include "core/data/blend.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.hpp"

namespace espalier {

namespace {

constexpr std::uint64_t kLargestSum = std::uint64_t{1} << 31;  // products of two stay inside 64 bits

// How many of the first `count` turns of a node go to its right side, which has `right` of `total` shares.
std::uint64_t right_turns(std::uint64_t count, std::uint64_t right, std::uint64_t total) {
  return count / total * right + (count % total * right + total / 2) / total;
}

}  // namespace

Blend::Blend(const std::vector<std::uint64_t>& shares) : before_(shares.size() + 1, 0) {
  ESPALIER_CHECK(!shares.empty());
  const std::uint64_t total = std::accumulate(shares.begin(), shares.end(), std::uint64_t{0});
  const std::uint64_t divisor = total / kLargestSum + 1;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    before_[i + 1] = before_[i] + std::max<std::uint64_t>(1, shares[i] / divisor);
  }
}

Blend::Turn Blend::operator()(std::uint64_t sequence) const {
  std::size_t first = 0, last = before_.size() - 1;
  while (last - first > 1) {
    const std::size_t middle = (first + last) / 2;
    const std::uint64_t right = sum(middle, last), total = sum(first, last);
    const std::uint64_t taken = right_turns(sequence, right, total);
    const bool goes_right = right_turns(sequence + 1, right, total) > taken;
    sequence = goes_right ? taken : sequence - taken;
    (goes_right ? first : last) = middle;
  }
  return {first, sequence};
}

std::vector<std::uint64_t> shares_of(const std::vector<double>& weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::uint64_t> shares;
  for (const double weight : weights) {
    shares.push_back(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::llround(weight / total * 1e9))));
  }
  return shares;
}

}  // namespace espalier
