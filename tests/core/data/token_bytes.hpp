// SPDX-License-Identifier: Apache-2.0
// Token files written by hand, so that the reader is tested against the format and not against our writer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace espalier::testing {

template <class T>
std::string little_endian(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// Megatron's index: `lengths` of sequences in tokens, `documents` as the list of first sequences (documents + 1).
inline std::string megatron_index(std::uint8_t code, std::int64_t token_bytes, const std::vector<std::int32_t>& lengths,
                                  const std::vector<std::int64_t>& documents) {
  std::vector<std::int64_t> offsets;
  std::int64_t at = 0;
  for (const std::int32_t length : lengths) {
    offsets.push_back(at);
    at += length * token_bytes;
  }
  std::string out("MMIDIDX\0\0", 9);
  out += little_endian<std::uint64_t>({1});
  out += static_cast<char>(code);
  out += little_endian<std::uint64_t>({lengths.size(), documents.size()});
  return out + little_endian(lengths) + little_endian(offsets) + little_endian(documents);
}

// Three documents in four sequences: 10 11 12 | 20 21, 30 | 40 41 42 43
inline void write_pair(const fs::path& prefix) {
  write_text(prefix.string() + ".bin", little_endian<std::uint16_t>({10, 11, 12, 20, 21, 30, 40, 41, 42, 43}));
  write_text(prefix.string() + ".idx", megatron_index(8, 2, {3, 2, 1, 4}, {0, 1, 3, 4}));
}

}  // namespace espalier::testing
