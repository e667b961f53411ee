// SPDX-License-Identifier: Apache-2.0
// Megatron's PREFIX.idx: magic, version, type code, sequence lengths and byte offsets, and the list of documents.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/tokens.hpp"

namespace espalier {

struct TokenIndex {
  TokenType type;
  std::vector<std::int64_t> document_ends;  // in tokens; not descending, the last is the number of tokens
};

// Throws Error when anything in the index contradicts itself or the size of the .bin.
TokenIndex read_token_index(const fs::path& idx, std::int64_t bin_bytes);

// The bytes of an index. A document is one sequence, unless it is longer than a length can say.
std::string token_index_bytes(TokenType type, const std::vector<std::int64_t>& document_ends);

}  // namespace espalier
