// SPDX-License-Identifier: Apache-2.0
// Text goes on token by token: a prompt is taken in (prefill), then each token is what the model finds most probable
// behind all before it (greedy decoding).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/forward/kv_cache.hpp"
#include "core/forward/rotary_cache.hpp"

namespace espalier {

// A model in the middle of a text: what it has been shown is in its cache. Without gradients.
class Decoding {
 public:
  // `batch` texts of at most `capacity` tokens. `weights` outlives this.
  Decoding(WeightSource& weights, std::int64_t batch, std::int64_t capacity);

  // The next tokens of every text, (B, T) int64 on the model's device → logits behind the last of them (B, V), in the
  // compute dtype. Error when a token is outside the vocabulary.
  at::Tensor feed(const at::Tensor& tokens);
  // Another text, in the same memory.
  void restart() { cache_.clear(); }
  const KvCache& cache() const { return cache_; }

 private:
  std::map<std::int64_t, Rotary> tables_at(std::int64_t first, std::int64_t count);

  WeightSource& weights_;
  KvCache cache_;
  RotaryCache tables_;
  std::vector<Weights> resident_;  // of the layers; empty when they are fetched for every pass
};

struct GenerateOptions {
  std::int64_t new_tokens = 0;          // at most, for each text
  std::vector<std::int64_t> stop = {};  // a text ends with the first of these
  std::int64_t prefill_chunk = 0;       // tokens of the prompt that are taken in at once; 0: all
};

// prompt (B, T) int64, texts of equal length → the new tokens of each. Of equally probable tokens the first. A text
// that ends with a stop token holds it. Throws Error: an empty prompt, a token outside the vocabulary; RecipeError:
// options out of range. Warns of texts longer than the model's positions.
std::vector<std::vector<std::int64_t>> generate(WeightSource& weights, const at::Tensor& prompt,
                                                const GenerateOptions& options);

}  // namespace espalier
