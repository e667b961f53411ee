// SPDX-License-Identifier: Apache-2.0
// Keys and values of the tokens that a model has been shown, so that the next token costs one position and not all of
// them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/forward/model.hpp"

namespace espalier {

// All memory is taken at once: keys and values, (B, kv_groups, positions, head_dim) each, for every layer with
// attention. A layer with a sliding window keeps no more positions than the window has, and writes over the oldest.
class KvCache {
 public:
  // For `batch` sequences of at most `capacity` tokens.
  KvCache(const ModelSpec& spec, std::int64_t batch, std::int64_t capacity, Compute compute);

  std::int64_t batch() const { return batch_; }
  std::int64_t capacity() const { return capacity_; }
  std::int64_t length() const { return length_; }  // tokens seen by all layers
  std::int64_t bytes() const;                      // of keys and values

  // A layer's rotated keys and values (B, G, T, D) of the T tokens behind the first `length`. Returns keys and values
  // that these tokens attend to, (B, G, S, D) with S >= T, in the order of the tokens, theirs last; for a single token
  // (T = 1) of a layer with a window in any order. What is returned is valid until the layer's next append.
  std::pair<at::Tensor, at::Tensor> append(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values);
  void advance(std::int64_t tokens);  // after all layers have taken them
  void clear() { length_ = 0; }       // begins anew in the same memory

 private:
  struct Layer {
    at::Tensor keys, values;     // undefined without attention
    std::int64_t positions = 0;  // that it keeps; token t lies at t % positions
  };
  std::int64_t batch_, capacity_, length_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace espalier
