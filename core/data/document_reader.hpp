// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/data/byte_stream.hpp"
#include "core/data/sources.hpp"

namespace espalier {

// A JSONL line, or a document of plain text, whole or in pieces.
struct RawPiece {
  std::size_t file = 0;      // index into the list of files
  std::int64_t line = 0;     // 1-based; 0: plain text
  std::uint64_t offset = 0;  // of a piece of plain text in its document
  bool first = true, last = true;
  std::string text;
};

struct RawBatch {
  std::vector<RawPiece> pieces;
  std::uint64_t consumed = 0;  // bytes of all files so far, as they lie on disk
};

// Reads files in order in batches of about a megabyte, so that memory does not grow with them.
class DocumentReader {
 public:
  // A plain text longer than `piece_bytes` comes in pieces. With `cut_at_lines` a piece ends behind a newline that no
  // white space follows, where byte-level tokenizers split anyway; without, anywhere.
  DocumentReader(const std::vector<TextFile>& files, std::size_t piece_bytes, bool cut_at_lines);
  bool next(RawBatch& batch);  // false at the end

 private:
  void open();
  void close();
  bool fill(std::size_t wanted);  // false when the file ends before
  void take_text(RawBatch& batch);
  void take_lines(RawBatch& batch);

  const std::vector<TextFile>& files_;
  std::size_t piece_bytes_;
  bool cut_at_lines_;
  std::size_t file_ = 0;
  std::optional<ByteStream> stream_;
  std::string buffer_;
  std::int64_t line_ = 0;
  std::uint64_t offset_ = 0, consumed_ = 0;
};

}  // namespace espalier
