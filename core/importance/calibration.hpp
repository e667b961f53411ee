// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/data/tokens.hpp"

namespace espalier {

// The calibration set: windows of the sources, drawn by the seed, each at most once. The first n of it are the same for
// every larger number of samples.
class Calibration {
 public:
  // Throws Error when there are fewer windows than samples, or a token beyond the vocabulary.
  Calibration(const std::vector<TokenSource>& sources, std::int64_t seq_length, std::int64_t samples,
              std::uint64_t seed, std::int64_t vocab);
  std::int64_t size() const { return static_cast<std::int64_t>(places_.size()); }
  std::int64_t seq_length() const { return seq_length_; }
  at::Tensor tokens(std::int64_t first, std::int64_t count) const;  // (count, seq_length) int64, on the CPU
  // (count, seq_length - 1) bool: predicted tokens that count in a loss; undefined when all do.
  at::Tensor learnt(std::int64_t first, std::int64_t count) const;

 private:
  struct Place {
    std::size_t source;
    std::int64_t window;
  };
  std::vector<Windows> windows_;
  std::vector<Place> places_;
  std::int64_t seq_length_;
};

}  // namespace espalier
