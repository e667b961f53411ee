// SPDX-License-Identifier: Apache-2.0
// What stands beside the tokens of a packed file: PREFIX.json (how it was made) and PREFIX.docs (a record a document).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/data/tokens.hpp"

namespace espalier {

// The files of PREFIX. The name may hold dots, so extensions are appended, never replaced.
struct PackPaths {
  explicit PackPaths(const fs::path& prefix);
  fs::path bin, idx, json, docs, mask;
};

struct PackSource {
  std::string name;  // relative: a glob below its fixed part, or a file's name
  std::int64_t files = 0;
};

struct PackInfo {
  std::string tokenizer, tokenizer_digest, token_type, digest;
  std::int64_t vocab = 0, eod = 0;
  std::int64_t documents = 0, duplicates = 0, empty = 0;  // kept; dropped because seen before; dropped because empty
  std::int64_t tokens = 0, text_bytes = 0, max_token = 0;
  bool mask = false;
  std::vector<PackSource> sources;
};

void write_pack_info(const fs::path& json, const PackInfo& info);

// Nothing when there is no such file, or when it is not a PREFIX.json of `tokens` tokens: another program's JSON may
// lie beside a token file.
std::optional<PackInfo> read_pack_info(const fs::path& json, std::int64_t tokens);

std::string document_record_bytes(const std::vector<DocumentRecord>& records);

// PREFIX.docs, mapped.
class DocumentRecords {
 public:
  // Nothing when there is no such file or it is not ours; throws Error when it does not have `documents` records.
  static std::optional<DocumentRecords> open(const fs::path& path, std::int64_t documents);
  DocumentRecord operator[](std::int64_t document) const;

 private:
  explicit DocumentRecords(MappedFile file) : file_(std::move(file)) {}
  MappedFile file_;
};

}  // namespace espalier
