// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/data/tokens.hpp"

namespace espalier {

// The windows of an evaluation in their order: source by source, ascending.
class WindowList {
 public:
  // `wanted` of them, evenly spaced over all; 0: all.
  WindowList(const std::vector<TokenSource>& sources, std::int64_t seq_length, std::int64_t wanted);
  std::int64_t size() const { return static_cast<std::int64_t>(places_.size()); }
  std::int64_t available() const { return available_; }

  // Windows first … first+count-1 of the list; rows of tokens (count, seq) and, of their predicted tokens, documents
  // and the loss mask (count, seq-1; undefined: all count).
  struct Batch {
    std::vector<std::size_t> source;  // of each window
    at::Tensor tokens, documents, learnt;
  };
  Batch batch(std::int64_t first, std::int64_t count) const;

 private:
  struct Place {
    std::size_t source;
    std::int64_t window;
  };
  std::vector<Windows> windows_;
  std::vector<Place> places_;
  std::int64_t seq_length_, available_ = 0;
};

}  // namespace espalier
