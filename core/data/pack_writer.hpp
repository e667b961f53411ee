// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/digest.hpp"
#include "core/base/files.hpp"
#include "core/data/pack_info.hpp"

namespace espalier {

// Writes PREFIX.bin, .idx, .docs, .json and, when any token is not learnt, .mask. Only a record a document is held in
// memory. Nothing is in place before commit().
class PackWriter {
 public:
  PackWriter(const fs::path& prefix, TokenType type);

  // One document: begin, any number of appends, end.
  void begin(const DocumentRecord& record);  // its text_bytes count up with each append
  void append(const std::vector<std::int32_t>& tokens, std::size_t learnt_from, std::uint64_t text_bytes);
  void end(std::int32_t end_of_document);

  // `info` says how the tokens were made; counts of tokens, bytes and documents, and the digest, are filled in here.
  PackInfo commit(PackInfo info);
  std::int64_t documents() const { return static_cast<std::int64_t>(ends_.size()); }

 private:
  // A file that is hashed as it is written.
  struct Hashed {
    explicit Hashed(const fs::path& path) : file(path) {}
    PendingFile file;
    Digest digest;
    std::string buffer;
    void write(const void* data, std::size_t bytes);
    void flush();
  };

  void put(std::int32_t token);
  void mark(std::size_t tokens, char learnt);

  PackPaths paths_;
  TokenType type_;
  Hashed bin_;
  std::optional<Hashed> mask_;
  std::vector<std::int64_t> ends_;
  std::vector<DocumentRecord> records_;
  std::int64_t tokens_ = 0, max_token_ = 0;
};

}  // namespace espalier
