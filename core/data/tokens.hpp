// SPDX-License-Identifier: Apache-2.0
// Packed tokens: one long array with document boundaries, mapped from disk, and windows over it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/base/files.hpp"

namespace espalier {

inline constexpr std::int64_t kIgnoredLabel = -100;  // of a token that is not learnt, as PyTorch has it

enum class TokenType { u8, i8, i16, i32, i64, u16 };

// What PREFIX.docs keeps of a document besides its tokens. The split into train and validation and the search for
// duplicates look only at this, so they never depend on the order of files or on a tokenizer.
struct DocumentRecord {
  std::uint64_t identity = 0;  // the first 8 bytes (big-endian) of the SHA-256 of the document's identity
  std::array<std::uint64_t, 2> content = {};  // the first 16 bytes of the SHA-256 of its text
  std::uint64_t text_bytes = 0;
};

// A token file, mapped. Formats: Megatron's PREFIX.bin + PREFIX.idx, or a raw little-endian .bin of one type. Copies
// share it. Safe to read from many threads.
class TokenFile {
 public:
  // `type` is needed for a raw .bin ("uint8", "uint16", "int32"); a pair knows its own. Throws Error on damage.
  TokenFile(const fs::path& prefix_or_bin, const std::string& token_type);
  std::int64_t size() const;                               // tokens
  const std::vector<std::int64_t>& document_ends() const;  // ascending, the last is size(); raw: one document
  // tokens [begin, end) as int64 into out; throws Error for a token that is negative or beyond int32
  void read(std::int64_t begin, std::int64_t end, std::int64_t* out) const;
  bool has_loss_mask() const;  // PREFIX.mask, one byte a token: 1 = this token is learnt
  void read_mask(std::int64_t begin, std::int64_t end, std::uint8_t* out) const;
  std::optional<std::int64_t> text_bytes() const;  // bytes of text behind the tokens, from PREFIX.json
  const fs::path& path() const;                    // of the .bin
  std::string digest() const;                      // of all that read() and read_mask() can give
  std::int64_t max_token() const;                  // of the whole file; the first call may read it all
  TokenType type() const;

  // Only these documents (ascending indices of this file), as if the others were not there.
  TokenFile select(const std::vector<std::int64_t>& documents) const;
  // From PREFIX.docs; a file without one has identities made of the document's index and no content or bytes.
  bool has_records() const;
  DocumentRecord record(std::int64_t document) const;

  struct State;  // private to core/data/token_file.cpp

 private:
  explicit TokenFile(std::shared_ptr<const State> state) : state_(std::move(state)) {}
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
    at::Tensor labels;  // (B, seq_length) int64, the next token; kIgnoredLabel where the loss mask is 0
  };
  Batch batch(std::int64_t first, std::int64_t count) const;          // sequences first … first+count-1
  std::int64_t learnt(std::int64_t first, std::int64_t count) const;  // labels of them that are not ignored
  std::int64_t windows() const;                                       // distinct ones in an epoch
  std::int64_t max_token() const;  // largest token in the data, to check against vocab

  // Where sequence i comes from: the window of a source that starts at token window * seq_length.
  struct Place {
    std::size_t source;
    std::int64_t window;
  };
  Place place(std::int64_t sequence) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// Windows for evaluation and calibration: non-overlapping, seq_length tokens each, whole windows only. Throws Error
// when there is not even one.
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
