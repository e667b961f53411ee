// SPDX-License-Identifier: Apache-2.0
#include "core/forward/kv_cache.hpp"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "core/base/error.hpp"

namespace espalier {

namespace {

// The last `count` of the first `length` tokens of a ring, in their order.
at::Tensor last_of_ring(const at::Tensor& ring, std::int64_t length, std::int64_t count) {
  const std::int64_t positions = ring.size(2), first = (length - count) % positions;
  const std::int64_t until_end = std::min(count, positions - first);
  const at::Tensor older = ring.narrow(2, first, until_end);
  return until_end == count ? older : at::cat({older, ring.narrow(2, 0, count - until_end)}, 2);
}

// Writes chunk (B, G, T, D), the tokens behind the first `length`; of more than fit the last ones.
void write_to_ring(at::Tensor& ring, std::int64_t length, const at::Tensor& chunk) {
  const std::int64_t positions = ring.size(2), count = std::min(chunk.size(2), positions);
  const std::int64_t skipped = chunk.size(2) - count, first = (length + skipped) % positions;
  const std::int64_t until_end = std::min(count, positions - first);
  ring.narrow(2, first, until_end).copy_(chunk.narrow(2, skipped, until_end));
  if (until_end < count) {
    ring.narrow(2, 0, count - until_end).copy_(chunk.narrow(2, skipped + until_end, count - until_end));
  }
}

}  // namespace

KvCache::KvCache(const ModelSpec& spec, std::int64_t batch, std::int64_t capacity, Compute compute)
    : batch_(batch), capacity_(capacity) {
  ESPALIER_CHECK(batch > 0 && capacity > 0, batch, " sequences of ", capacity, " tokens");
  const auto options = at::TensorOptions(compute.dtype).device(compute.device);
  for (const LayerSpec& shape : spec.layers) {
    Layer& layer = layers_.emplace_back();
    if (!shape.attention) continue;
    layer.positions = shape.sliding_window > 0 ? std::min(shape.sliding_window, capacity) : capacity;
    layer.keys = at::empty({batch, shape.kv_groups, layer.positions, shape.head_dim}, options);
    layer.values = at::empty_like(layer.keys);
  }
}

std::int64_t KvCache::bytes() const {
  std::int64_t bytes = 0;
  for (const Layer& layer : layers_) {
    if (layer.keys.defined()) bytes += static_cast<std::int64_t>(layer.keys.nbytes() + layer.values.nbytes());
  }
  return bytes;
}

std::pair<at::Tensor, at::Tensor> KvCache::append(std::int64_t layer, const at::Tensor& keys,
                                                  const at::Tensor& values) {
  Layer& kept = layers_[static_cast<std::size_t>(layer)];
  const std::int64_t tokens = keys.size(2), before = std::min(length_, kept.positions - 1);
  ESPALIER_CHECK(length_ + tokens <= capacity_, length_ + tokens, " tokens in a cache of ", capacity_);
  std::pair<at::Tensor, at::Tensor> seen = {keys, values};
  const bool fits = length_ + tokens <= kept.positions;
  if (!fits && tokens > 1 && before > 0) {  // taken out before the chunk is written over them
    seen.first = at::cat({last_of_ring(kept.keys, length_, before), keys}, 2);
    seen.second = at::cat({last_of_ring(kept.values, length_, before), values}, 2);
  }
  write_to_ring(kept.keys, length_, keys);
  write_to_ring(kept.values, length_, values);
  if (length_ == 0 || (!fits && tokens > 1)) return seen;
  const std::int64_t there = std::min(length_ + tokens, kept.positions);
  return {kept.keys.narrow(2, 0, there), kept.values.narrow(2, 0, there)};
}

void KvCache::advance(std::int64_t tokens) { length_ += tokens; }

}  // namespace espalier
