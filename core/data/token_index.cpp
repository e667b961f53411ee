// SPDX-License-Identifier: Apache-2.0
#include "core/data/token_index.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/base/error.hpp"
#include "core/data/token_type.hpp"

namespace espalier {

namespace {

constexpr std::string_view kMagic("MMIDIDX\0\0", 9);
constexpr std::size_t kHeader = 9 + 8 + 1 + 8 + 8;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 59;  // so that bytes never overflow

// The arrays stand at odd offsets, so they are copied, never cast.
template <class T>
T get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

struct Layout {
  TokenType type = TokenType::u8;
  std::uint64_t sequences = 0, entries = 0;  // entries: of the document list, documents + 1
  const std::byte *lengths = nullptr, *offsets = nullptr, *documents = nullptr;
};

Layout read_layout(const std::string& name, std::span<const std::byte> bytes) {
  if (bytes.size() < kHeader) {
    fail("{}: not a Megatron index; got {} bytes; expected at least {}", name, bytes.size(), kHeader);
  }
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    fail("{}: not a Megatron index; got other first bytes; expected MMIDIDX", name);
  }
  const auto version = get<std::uint64_t>(bytes.data() + 9);
  if (version != 1) fail("{}: unknown version of a Megatron index; got {}; expected 1", name, version);
  const auto code = get<std::uint8_t>(bytes.data() + 17);
  const std::optional<TokenType> type = token_type_of_code(code);
  if (!type) {
    fail(
        "{}: tokens of an unusable type; got code {}; expected 1 (uint8), 2 (int8), 3 (int16), 4 (int32), 5 (int64) "
        "or 8 (uint16)",
        name, code);
  }
  Layout layout;
  layout.type = *type;
  layout.sequences = get<std::uint64_t>(bytes.data() + 18);
  layout.entries = get<std::uint64_t>(bytes.data() + 26);
  const std::uint64_t rest = bytes.size() - kHeader;
  const bool possible = layout.sequences <= rest / 12 && layout.entries >= 1 && layout.entries <= rest / 8;
  const std::uint64_t needed = possible ? layout.sequences * 12 + layout.entries * 8 : 0;
  if (!possible || (rest != needed && rest != needed + layout.sequences)) {  // one mode byte a sequence may follow
    fail("{}: index is damaged; got {} bytes for {} sequences and {} document entries", name, bytes.size(),
         layout.sequences, layout.entries);
  }
  layout.lengths = bytes.data() + kHeader;
  layout.offsets = layout.lengths + layout.sequences * 4;
  layout.documents = layout.offsets + layout.sequences * 8;
  return layout;
}

// Tokens before each sequence; the last entry is their number.
std::vector<std::int64_t> sequence_starts(const std::string& name, const Layout& layout) {
  std::vector<std::int64_t> starts(layout.sequences + 1);
  for (std::uint64_t i = 0; i < layout.sequences; ++i) {
    const auto length = get<std::int32_t>(layout.lengths + i * 4);
    const auto offset = get<std::int64_t>(layout.offsets + i * 8);
    if (length < 0) {
      fail("{}: index is damaged; got length {} of sequence {}; expected 0 or more", name, length, i);
    }
    const std::int64_t expected = starts[i] * size_of(layout.type);
    if (offset != expected) {
      fail("{}: index is damaged; got offset {} of sequence {}; expected {}", name, offset, i, expected);
    }
    starts[i + 1] = starts[i] + length;
    if (starts[i + 1] > kMostTokens) fail("{}: index is damaged; got more than {} tokens", name, kMostTokens);
  }
  return starts;
}

}  // namespace

TokenIndex read_token_index(const fs::path& idx, std::int64_t bin_bytes) {
  const MappedFile file(idx);
  const std::string name = idx.string();
  const Layout layout = read_layout(name, file.bytes());
  const std::vector<std::int64_t> starts = sequence_starts(name, layout);
  const std::int64_t expected = starts.back() * size_of(layout.type);
  if (bin_bytes != expected) {
    fail("{}: does not fit its index; got {} bytes; expected {} ({} tokens of {})",
         fs::path(idx).replace_extension(".bin").string(), bin_bytes, expected, starts.back(), name_of(layout.type));
  }
  TokenIndex index{layout.type, {}};
  index.document_ends.reserve(layout.entries - 1);
  std::int64_t before = 0;
  for (std::uint64_t i = 0; i < layout.entries; ++i) {
    const auto entry = get<std::int64_t>(layout.documents + i * 8);
    const bool first = i == 0, last = i + 1 == layout.entries;
    const auto sequences = static_cast<std::int64_t>(layout.sequences);
    if (entry < before || entry > sequences || (first && entry != 0) || (last && entry != sequences)) {
      fail("{}: index is damaged; got {} as entry {} of the document list; expected entries that ascend from 0 to {}",
           name, entry, i, sequences);
    }
    if (!first) index.document_ends.push_back(starts[static_cast<std::size_t>(entry)]);
    before = entry;
  }
  return index;
}

std::string token_index_bytes(TokenType type, const std::vector<std::int64_t>& document_ends) {
  constexpr std::int64_t kLongest = std::numeric_limits<std::int32_t>::max();
  std::vector<std::int32_t> lengths;
  std::vector<std::int64_t> documents = {0};
  std::int64_t begin = 0;
  for (const std::int64_t end : document_ends) {
    for (std::int64_t at = begin; at < end; at += kLongest) {
      lengths.push_back(static_cast<std::int32_t>(std::min(kLongest, end - at)));
    }
    documents.push_back(static_cast<std::int64_t>(lengths.size()));
    begin = end;
  }
  std::string out(kMagic);
  out.reserve(kHeader + lengths.size() * 12 + documents.size() * 8);
  put<std::uint64_t>(out, 1);
  put<std::uint8_t>(out, megatron_code(type));
  put<std::uint64_t>(out, lengths.size());
  put<std::uint64_t>(out, documents.size());
  for (const std::int32_t length : lengths) put(out, length);
  std::int64_t offset = 0;
  for (const std::int32_t length : lengths) {
    put(out, offset);
    offset += length * size_of(type);
  }
  for (const std::int64_t document : documents) put(out, document);
  return out;
}

}  // namespace espalier
