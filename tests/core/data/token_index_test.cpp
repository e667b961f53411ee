// SPDX-License-Identifier: Apache-2.0
#include "core/data/token_index.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/quick_write.hpp"
#include "tests/core/data/token_bytes.hpp"

using espalier::Error;
using espalier::read_token_index;
using espalier::Scratch;
using espalier::write_text;
using espalier::testing::megatron_index;

namespace {

constexpr std::size_t kLengths = 34, kOffsets = kLengths + 2 * 4, kDocuments = kOffsets + 2 * 8;

template <class T>
std::string with(std::string bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return bytes;
}

}  // namespace

TEST_CASE("damage of an index is named") {
  const Scratch scratch;
  const std::string idx = (scratch / "x.idx").string(), bin = (scratch / "x.bin").string();
  const std::string good = megatron_index(4, 4, {3, 2}, {0, 1, 2});
  const auto check = [&](const std::string& bytes, const std::string& text) {
    write_text(idx, bytes);
    CHECK_THROWS_WITH_AS(read_token_index(idx, 20), text.c_str(), Error);
  };
  check("short", idx + ": not a Megatron index; got 5 bytes; expected at least 34");
  check(with(good, 0, 'X'), idx + ": not a Megatron index; got other first bytes; expected MMIDIDX");
  check(with(good, 9, std::uint64_t{2}), idx + ": unknown version of a Megatron index; got 2; expected 1");
  check(with(good, 17, std::uint8_t{7}),
        idx +
            ": tokens of an unusable type; got code 7; expected 1 (uint8), 2 (int8), 3 (int16), 4 (int32), 5 (int64) "
            "or 8 (uint16)");
  check(with(good, 18, ~std::uint64_t{0}),
        idx + ": index is damaged; got 82 bytes for 18446744073709551615 sequences and 3 document entries");
  check(with(good, 26, std::uint64_t{0}),
        idx + ": index is damaged; got 82 bytes for 2 sequences and 0 document entries");
  check(good.substr(0, 80), idx + ": index is damaged; got 80 bytes for 2 sequences and 3 document entries");
  check(with(good, kLengths + 4, std::int32_t{-2}),
        idx + ": index is damaged; got length -2 of sequence 1; expected 0 or more");
  check(with(good, kOffsets + 8, std::int64_t{16}),
        idx + ": index is damaged; got offset 16 of sequence 1; expected 12");
  check(with(good, kLengths + 4, std::int32_t{3}),
        bin + ": does not fit its index; got 20 bytes; expected 24 (6 tokens of int32)");
  const std::string list = " of the document list; expected entries that ascend from 0 to 2";
  check(with(good, kDocuments, std::int64_t{1}), idx + ": index is damaged; got 1 as entry 0" + list);
  check(with(good, kDocuments + 8, std::int64_t{3}), idx + ": index is damaged; got 3 as entry 1" + list);
  check(with(good, kDocuments + 8, std::int64_t{-1}), idx + ": index is damaged; got -1 as entry 1" + list);
  check(with(good, kDocuments + 16, std::int64_t{1}), idx + ": index is damaged; got 1 as entry 2" + list);
}

TEST_CASE("our writer gives Megatron's bytes") {
  CHECK(espalier::token_index_bytes(espalier::TokenType::u16, {3, 5, 5, 9}) ==
        megatron_index(8, 2, {3, 2, 4}, {0, 1, 2, 2, 3}));
  CHECK(espalier::token_index_bytes(espalier::TokenType::i32, {4}) == megatron_index(4, 4, {4}, {0, 1}));
}

TEST_CASE("a document longer than a length can say becomes several sequences") {
  constexpr std::int64_t kMost = 2147483647;
  CHECK(espalier::token_index_bytes(espalier::TokenType::u16, {kMost + 5}) ==
        megatron_index(8, 2, {2147483647, 5}, {0, 2}));
}

TEST_CASE("random damage ends in an error or in a sound index, never in a crash") {
  const Scratch scratch;
  const std::string good = megatron_index(8, 2, {3, 2, 1, 4}, {0, 1, 3, 4});
  int refused = 0;
  for (std::uint64_t round = 0; round < 3000; ++round) {
    std::string bytes = good;
    const std::uint64_t edits = 1 + espalier::mix(round, 0) % 3;
    for (std::uint64_t edit = 0; edit < edits; ++edit) {
      const std::uint64_t dice = espalier::mix(round, 1 + edit);
      bytes[dice % bytes.size()] = static_cast<char>(dice >> 32);
      if (dice % 7 == 0) bytes.resize(1 + (dice >> 16) % (bytes.size() + 8));
    }
    espalier::testing::quick_write(scratch / "x.idx", bytes);
    try {
      const espalier::TokenIndex index = read_token_index(scratch / "x.idx", 20);
      CHECK(std::is_sorted(index.document_ends.begin(), index.document_ends.end()));
      for (const std::int64_t end : index.document_ends) CHECK((0 <= end && end <= 20));
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 2000);
}
