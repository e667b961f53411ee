// SPDX-License-Identifier: Apache-2.0
#include "core/forward/generate.hpp"

#include <algorithm>

#include <ATen/ops/argmax.h>
#include <c10/core/InferenceMode.h>
#include <spdlog/spdlog.h>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/forward/check_tokens.hpp"

namespace espalier {

namespace {

void check(const ModelSpec& spec, const at::Tensor& prompt, const GenerateOptions& options) {
  if (options.new_tokens < 1) reject("new_tokens: out of range; got {}; expected at least 1", options.new_tokens);
  if (options.prefill_chunk < 0)
    reject("prefill_chunk: out of range; got {}; expected 0 or more", options.prefill_chunk);
  if (prompt.dim() != 2 || prompt.size(0) < 1 || prompt.size(1) < 1)
    fail("prompt: empty; got no tokens; expected at least one");
  check_tokens(prompt, spec.vocab);
  const std::int64_t length = prompt.size(1) + options.new_tokens;
  if (length > spec.max_positions) {
    spdlog::warn(
        "prompt: the text grows longer than the model's positions; got {} and {} new tokens; expected at most "
        "{} together",
        prompt.size(1), options.new_tokens, spec.max_positions);
  }
}

}  // namespace

Decoding::Decoding(WeightSource& weights, std::int64_t batch, std::int64_t capacity)
    : weights_(weights),
      cache_(weights.spec(), batch, capacity, weights.compute()),
      tables_(weights.spec(), capacity, weights.compute()) {
  if (dynamic_cast<Model*>(&weights) == nullptr) return;
  for (std::size_t layer = 0; layer < weights.spec().layers.size(); ++layer) {
    resident_.push_back(weights.layer(static_cast<std::int64_t>(layer)));
  }
}

std::map<std::int64_t, Rotary> Decoding::tables_at(std::int64_t first, std::int64_t count) {
  std::map<std::int64_t, Rotary> here;
  for (std::size_t layer = 0; layer < weights_.spec().layers.size(); ++layer) {
    const LayerSpec& shape = weights_.spec().layers[layer];
    if (!shape.attention || here.contains(shape.head_dim)) continue;
    const Rotary& all = tables_.of_layer(static_cast<std::int64_t>(layer));
    here[shape.head_dim] = {all.cos.narrow(0, first, count), all.sin.narrow(0, first, count)};
  }
  return here;
}

at::Tensor Decoding::feed(const at::Tensor& tokens) {
  const c10::InferenceMode no_grad;
  const ModelSpec& spec = weights_.spec();
  const std::int64_t count = tokens.size(1);
  ESPALIER_CHECK(tokens.size(0) == cache_.batch() && count > 0, tokens.size(0), " texts, ", count, " tokens");
  std::map<std::int64_t, Rotary> tables = tables_at(cache_.length(), count);
  const Weights outer = weights_.outer();
  at::Tensor hidden = embed(outer, tokens, nullptr);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    const Weights fetched = resident_.empty() ? weights_.layer(layer) : Weights();
    const Weights& at_hand = resident_.empty() ? fetched : resident_[i];
    hidden = decoder_layer(spec, layer, at_hand, tables[spec.layers[i].head_dim], hidden, nullptr, &cache_);
  }
  cache_.advance(count);
  return logits(outer, final_norm(spec, outer, hidden.narrow(1, count - 1, 1), nullptr)).squeeze(1);
}

std::vector<std::vector<std::int64_t>> generate(WeightSource& weights, const at::Tensor& prompt,
                                                const GenerateOptions& options) {
  check(weights.spec(), prompt, options);
  const c10::InferenceMode no_grad;
  const std::int64_t batch = prompt.size(0), length = prompt.size(1);
  const at::Tensor shown = prompt.to(weights.compute().device);
  Decoding decoding(weights, batch, length + options.new_tokens - 1);  // the last token is not fed again
  const std::int64_t chunk = options.prefill_chunk > 0 ? options.prefill_chunk : length;
  at::Tensor scores;
  for (std::int64_t first = 0; first < length; first += chunk) {
    scores = decoding.feed(shown.narrow(1, first, std::min(chunk, length - first)));
    throw_if_interrupted();
  }
  std::vector<std::vector<std::int64_t>> texts(static_cast<std::size_t>(batch));
  std::vector<bool> ended(texts.size(), false);
  for (std::int64_t step = 0; step < options.new_tokens; ++step) {
    const at::Tensor chosen = at::argmax(scores, 1);
    const at::Tensor on_host = chosen.cpu();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (ended[i]) continue;
      texts[i].push_back(on_host.const_data_ptr<std::int64_t>()[i]);
      ended[i] = std::find(options.stop.begin(), options.stop.end(), texts[i].back()) != options.stop.end();
    }
    if (step + 1 == options.new_tokens || std::find(ended.begin(), ended.end(), false) == ended.end()) break;
    scores = decoding.feed(chosen.unsqueeze(1));
    throw_if_interrupted();
  }
  return texts;
}

}  // namespace espalier
