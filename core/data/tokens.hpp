// SPDX-License-Identifier: Apache-2.0
// Packed tokens: one long array with document boundaries, mapped from disk, and windows over it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/base/files.hpp"

namespace espalier {

enum class TokenType { u8, u16, i32 };

// A token file, mapped. Formats: Megatron's PREFIX.bin + PREFIX.idx, or a raw little-endian .bin of one type.
class TokenFile {
 public:
  // `type` is needed for a raw .bin ("uint8", "uint16", "int32"); a pair knows its own. Throws Error on damage.
  TokenFile(const fs::path& prefix_or_bin, const std::string& token_type);
  std::int64_t size() const;                               // tokens
  const std::vector<std::int64_t>& document_ends() const;  // ascending, the last is size(); raw: one document
  // tokens [begin, end) as int64 into out
  void read(std::int64_t begin, std::int64_t end, std::int64_t* out) const;
  bool has_loss_mask() const;  // PREFIX.mask, one byte a token: 1 = this token is learnt
  void read_mask(std::int64_t begin, std::int64_t end, std::uint8_t* out) const;
  std::optional<std::int64_t> text_bytes() const;  // bytes of text behind the tokens, from PREFIX.json
  const fs::path& path() const;
  std::string digest() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// One entry of [data]: its files as one TokenFile, with a name for reports and a weight for mixing.
struct TokenSource {
  std::string name;
  std::optional<double> weight;  // none of a list: in proportion to size
  TokenFile tokens;
};

// Sequences for training. Sequence i is a pure function of (seed, i): windows of seq_length + 1 tokens at stride
// seq_length over each source, in an order permuted anew each epoch; sources are mixed by weight without drawing lots.
class TrainingStream {
 public:
  TrainingStream(std::vector<TokenSource> sources, std::int64_t seq_length, std::uint64_t seed);
  struct Batch {
    at::Tensor tokens;  // (B, seq_length) int64
    at::Tensor labels;  // (B, seq_length) int64, the next token; -100 where the loss mask is 0
  };
  Batch batch(std::int64_t first, std::int64_t count) const;  // sequences first … first+count-1
  std::int64_t windows() const;                               // distinct ones in an epoch
  std::int64_t max_token() const;                             // largest token in the data, to check against vocab

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// Windows for evaluation and calibration: non-overlapping, seq_length tokens each, whole windows only.
class Windows {
 public:
  Windows(TokenSource source, std::int64_t seq_length);
  std::int64_t size() const;
  at::Tensor tokens(std::int64_t first, std::int64_t count) const;  // (count, seq_length) int64
  at::Tensor mask(std::int64_t first, std::int64_t count) const;    // (count, seq_length) bool, or undefined
  // Document index of every predicted token (count, seq_length - 1) int64.
  at::Tensor documents(std::int64_t first, std::int64_t count) const;
  const TokenSource& source() const;

 private:
  TokenSource source_;
  std::int64_t seq_length_;
};

}  // namespace espalier
