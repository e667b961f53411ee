// SPDX-License-Identifier: Apache-2.0
// The loss of a model on token data: non-overlapping windows, each predicting all its tokens but the first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/data/tokens.hpp"
#include "core/eval/document_losses.hpp"
#include "core/forward/model.hpp"

namespace espalier {

struct EvalOptions {
  std::int64_t windows = 0;      // 0: all; else at most this many, evenly spaced over all of them
  std::int64_t seq_length = 0;   // tokens of a window; also the stride
  std::int64_t micro_batch = 0;  // windows of a forward pass; 0: as many as make about 4096 tokens
  std::string tokenizer;         // "bytes" makes bits per byte exact; else only named in the protocol
  fs::path dump;                 // safetensors with every token's nll and every window's last logits; empty: none
  std::int64_t tile_bytes = std::int64_t{1} << 30;  // streamed weights only: hidden states that may exist at a time
};

// How the bytes of text behind the predicted tokens were counted.
enum class ByteCount { exact, proportional, unknown };

struct Measure {
  double nll = 0.0;                     // nats per predicted token
  std::optional<double> bits_per_byte;  // none when the bytes behind the tokens are unknown
  std::int64_t tokens = 0;              // predicted ones; tokens that the loss mask leaves out do not count
  std::int64_t documents = 0;           // that they come from
  double perplexity() const;
};

struct EvalResult {
  Measure all;
  std::vector<std::pair<std::string, Measure>> sources;  // by name, in the order given
  double nll = 0.0;                                      // all.nll
  std::int64_t windows = 0, available = 0;               // measured, of how many
  ByteCount bytes = ByteCount::unknown;                  // the least exact of the sources
  DocumentLosses documents;                              // the same losses, document by document
  double seconds = 0.0;                                  // of the forward passes
};

// Sums in float64, window by window. Throws Error: a source shorter than a window, a token beyond the vocabulary, a
// loss that is not finite.
EvalResult evaluate(WeightSource& weights, const std::vector<TokenSource>& sources, const EvalOptions& options);

// eval.json of a model without a measured loss: its name, no tasks yet, and what it is computed in.
nlohmann::json model_to_json(const std::string& model, const Compute& compute, const std::string& tokenizer);

// eval.json: the numbers with their protocol beside them. `model` is what the user calls it.
nlohmann::json eval_to_json(const EvalResult& result, const std::string& model, const Compute& compute,
                            const std::vector<TokenSource>& sources, const EvalOptions& options);

}  // namespace espalier
