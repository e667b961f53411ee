// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <numeric>

#include "core/base/error.hpp"
#include "core/data/tokens.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/all_tokens.hpp"
#include "tests/core/data/token_bytes.hpp"

using espalier::Error;
using espalier::RecipeError;
using espalier::Scratch;
using espalier::TokenFile;
using espalier::write_text;
using espalier::testing::all_tokens;
using espalier::testing::little_endian;
using espalier::testing::megatron_index;
using espalier::testing::Tokens;
using espalier::testing::write_pair;

TEST_CASE("a Megatron pair written by hand is read, by prefix, by .bin and by .idx") {
  const Scratch scratch;
  write_pair(scratch / "corpus.v1");
  for (const char* name : {"corpus.v1", "corpus.v1.bin", "corpus.v1.idx"}) {
    CAPTURE(name);
    const TokenFile file(scratch / name, "");
    CHECK(all_tokens(file) == Tokens{10, 11, 12, 20, 21, 30, 40, 41, 42, 43});
    CHECK(file.document_ends() == Tokens{3, 6, 10});
    CHECK(file.path() == scratch / "corpus.v1.bin");
    CHECK(file.max_token() == 43);
    CHECK_FALSE(file.has_loss_mask());
    CHECK_FALSE(file.text_bytes().has_value());
  }
}

TEST_CASE("every type of Megatron's that can hold tokens is read") {
  const Scratch scratch;
  const auto check = [&](std::uint8_t code, std::int64_t size, const std::string& bytes) {
    CAPTURE(int{code});
    write_text(scratch / "t.bin", bytes);
    write_text(scratch / "t.idx", megatron_index(code, size, {2}, {0, 1}));
    CHECK(all_tokens(TokenFile(scratch / "t", "")) == Tokens{5, 100});
  };
  check(1, 1, little_endian<std::uint8_t>({5, 100}));
  check(2, 1, little_endian<std::int8_t>({5, 100}));
  check(3, 2, little_endian<std::int16_t>({5, 100}));
  check(4, 4, little_endian<std::int32_t>({5, 100}));
  check(5, 8, little_endian<std::int64_t>({5, 100}));
  check(8, 2, little_endian<std::uint16_t>({5, 100}));
}

TEST_CASE("sequence modes at the end of an index are accepted") {
  const Scratch scratch;
  write_pair(scratch / "m");
  write_text(scratch / "m.idx", espalier::read_text(scratch / "m.idx") + std::string(4, '\0'));
  CHECK(TokenFile(scratch / "m", "").size() == 10);
}

TEST_CASE("a raw .bin is read as the type that is named") {
  const Scratch scratch;
  write_text(scratch / "raw.bin", little_endian<std::int32_t>({1, 70000, 3}));
  const TokenFile file(scratch / "raw.bin", "int32");
  CHECK(all_tokens(file) == Tokens{1, 70000, 3});
  CHECK(file.document_ends() == Tokens{3});
  CHECK(TokenFile(scratch / "raw.bin", "uint16").size() == 6);
  CHECK(TokenFile(scratch / "raw", "uint8").size() == 12);
}

TEST_CASE("a raw .bin that cannot be read says what it needs") {
  const Scratch scratch;
  const std::string bin = (scratch / "raw.bin").string();
  write_text(bin, "12345");
  CHECK_THROWS_WITH_AS(
      TokenFile(bin, ""),
      (bin + ": a raw .bin does not say its type; got no token_type; expected 'uint8', 'uint16' or 'int32'").c_str(),
      RecipeError);
  CHECK_THROWS_WITH_AS(TokenFile(bin, "unt16"),
                       "token_type is not a known choice; got 'unt16'; expected 'uint8', 'uint16' or 'int32'; did you "
                       "mean 'uint16'?",
                       RecipeError);
  CHECK_THROWS_WITH_AS(
      TokenFile(bin, "uint16"),
      (bin + ": size does not divide into tokens of uint16; got 5 bytes; expected a multiple of 2").c_str(), Error);
  write_text(bin, "");
  CHECK_THROWS_WITH_AS(TokenFile(bin, "uint16"), (bin + ": holds no tokens; got an empty file").c_str(), Error);
}

TEST_CASE("half a pair, or nothing, is named") {
  const Scratch scratch;
  write_pair(scratch / "p");
  const std::string prefix = (scratch / "p").string();
  std::filesystem::remove(prefix + ".bin");
  CHECK_THROWS_WITH_AS(TokenFile(prefix, ""),
                       (prefix + ".bin: not found; got only " + prefix + ".idx; expected both").c_str(), Error);
  std::filesystem::remove(prefix + ".idx");
  CHECK_THROWS_WITH_AS(TokenFile(prefix, ""),
                       (prefix + ": no token file; expected " + prefix + ".bin (raw, or with its .idx)").c_str(),
                       Error);
}

TEST_CASE("negative and oversized tokens are refused with their position") {
  const Scratch scratch;
  const std::string bin = (scratch / "n.bin").string();
  write_text(bin, little_endian<std::int32_t>({1, 2, -3}));
  const TokenFile negative(bin, "int32");
  const std::string text = bin + ": not a token; got -3 at position 2; expected 0 to 2147483647";
  Tokens out(3);
  CHECK_NOTHROW(negative.read(0, 2, out.data()));
  CHECK_THROWS_WITH_AS(negative.read(1, 3, out.data()), text.c_str(), Error);
  CHECK_THROWS_WITH_AS(negative.max_token(), text.c_str(), Error);

  write_text(scratch / "w.bin", little_endian<std::int64_t>({1, std::int64_t{1} << 31}));
  write_text(scratch / "w.idx", megatron_index(5, 8, {2}, {0, 1}));
  CHECK_THROWS_WITH_AS(
      TokenFile(scratch / "w", "").max_token(),
      ((scratch / "w.bin").string() + ": not a token; got 2147483648 at position 1; expected 0 to 2147483647").c_str(),
      Error);
}

TEST_CASE("a loss mask is read, and must fit") {
  const Scratch scratch;
  write_pair(scratch / "p");
  write_text(scratch / "p.mask", std::string("\0\0\1\1\1\1\0\1\1\1", 10));
  const TokenFile file(scratch / "p", "");
  CHECK(file.has_loss_mask());
  std::vector<std::uint8_t> mask(4);
  file.read_mask(1, 5, mask.data());
  CHECK(mask == std::vector<std::uint8_t>{0, 1, 1, 1});
  write_text(scratch / "p.mask", "123");
  CHECK_THROWS_WITH_AS(
      TokenFile(scratch / "p", ""),
      ((scratch / "p.mask").string() + ": does not fit its tokens; got 3 bytes; expected 10, one a token").c_str(),
      Error);
}

TEST_CASE("a choice of documents reads as if the others were not there") {
  const Scratch scratch;
  write_pair(scratch / "p");
  write_text(scratch / "p.mask", std::string("\1\1\1\0\0\0\1\1\0\1", 10));
  const TokenFile file(scratch / "p", "");
  const TokenFile part = file.select({0, 2});
  CHECK(all_tokens(part) == Tokens{10, 11, 12, 40, 41, 42, 43});
  CHECK(part.document_ends() == Tokens{3, 7});
  for (std::int64_t begin = 0; begin <= 7; ++begin) {
    for (std::int64_t end = begin; end <= 7; ++end) {
      Tokens out(static_cast<std::size_t>(end - begin));
      part.read(begin, end, out.data());
      const Tokens whole = all_tokens(part);
      CHECK(out == Tokens(whole.begin() + begin, whole.begin() + end));
    }
  }
  std::vector<std::uint8_t> mask(7);
  part.read_mask(0, 7, mask.data());
  CHECK(mask == std::vector<std::uint8_t>{1, 1, 1, 1, 1, 0, 1});
  CHECK(part.record(1).identity == file.record(2).identity);
  CHECK(all_tokens(part.select({1})) == Tokens{40, 41, 42, 43});
}

TEST_CASE("the digest is that of tokens, documents, mask and choice") {
  const Scratch scratch;
  write_pair(scratch / "a");
  write_pair(scratch / "b");
  const TokenFile a(scratch / "a", "");
  const std::string digest = a.digest();
  CHECK(digest == TokenFile(scratch / "b", "").digest());
  CHECK(digest != a.select({0, 1}).digest());
  CHECK(a.select({0, 1}).digest() != a.select({0, 2}).digest());
  write_text(scratch / "b.mask", std::string(10, '\1'));
  CHECK(digest != TokenFile(scratch / "b", "").digest());
  write_text(scratch / "b.idx", megatron_index(8, 2, {3, 2, 1, 4}, {0, 2, 3, 4}));
  std::filesystem::remove(scratch / "b.mask");
  CHECK(digest != TokenFile(scratch / "b", "").digest());
}

TEST_CASE("another program's JSON beside the tokens is not taken for ours") {
  const Scratch scratch;
  write_pair(scratch / "p");
  for (const char* text : {"{\"tokens\": 3}", "[1, 2]", "not JSON", "{\"format\": 7}"}) {
    write_text(scratch / "p.json", text);
    CHECK_FALSE(TokenFile(scratch / "p", "").text_bytes().has_value());
  }
}
