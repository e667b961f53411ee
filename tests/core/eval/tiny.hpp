// SPDX-License-Identifier: Apache-2.0
// A small model and byte tokens with documents, masks and known numbers of bytes.
#pragma once

#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "core/base/files.hpp"
#include "core/eval/evaluate.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/token_bytes.hpp"

namespace espalier::testing {

inline Model tiny_model(std::int64_t vocab = 257) {
  ModelSpec spec;
  spec.family = "llama", spec.hidden = 12, spec.vocab = vocab, spec.max_positions = 64;
  LayerSpec layer;
  layer.kv_groups = 2, layer.heads_per_group = 3, layer.head_dim = 4, layer.ffn = 10;
  spec.layers.assign(3, layer);
  return Model(spec, 5, {at::kFloat, at::kCPU});
}

// Documents of 7 bytes and an end, in a Megatron pair.
inline TokenSource documents_of(const Scratch& scratch, const std::string& name, std::int32_t documents,
                                std::uint16_t phase) {
  std::vector<std::uint16_t> tokens;
  std::vector<std::int64_t> list = {0};
  for (std::int32_t d = 0; d < documents; ++d) {
    for (std::uint16_t t = 0; t < 7; ++t) tokens.push_back(static_cast<std::uint16_t>((d * 37 + t * 11 + phase) % 256));
    tokens.push_back(256);
    list.push_back(d + 1);
  }
  const fs::path prefix = scratch / name;
  write_text(prefix.string() + ".bin", little_endian(tokens));
  write_text(prefix.string() + ".idx",
             megatron_index(8, 2, std::vector<std::int32_t>(static_cast<std::size_t>(documents), 8), list));
  return {name, std::nullopt, TokenFile(prefix, "")};
}

// The same weights, but not known to be resident.
class Streamed final : public WeightSource {
 public:
  explicit Streamed(Model& model) : model_(model) {}
  const ModelSpec& spec() const override { return model_.spec(); }
  Compute compute() const override { return model_.compute(); }
  Weights outer() override { return model_.outer(); }
  Weights layer(std::int64_t layer) override {
    ++fetched;
    return model_.layer(layer);
  }
  std::int64_t fetched = 0;

 private:
  Model& model_;
};

inline EvalOptions options_of(std::int64_t seq_length) {
  EvalOptions options;
  options.seq_length = seq_length, options.tokenizer = "bytes";
  return options;
}

// nll of every predicted token of windows (N, T), in float64, from full logits; and the last position's logits.
struct Reference {
  at::Tensor nll, last_logits;
};
inline Reference reference(Model& model, const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  const at::Tensor full = logits(model.outer(), hidden_states(model, tokens)).to(at::kDouble);
  const std::int64_t last = tokens.size(1) - 1;
  const at::Tensor picked =
      at::log_softmax(full.narrow(1, 0, last), -1).gather(-1, tokens.narrow(1, 1, last).unsqueeze(-1));
  return {picked.squeeze(-1).neg(), full.select(1, last)};
}

}  // namespace espalier::testing
