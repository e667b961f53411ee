// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/data/document_reader.hpp"
#include "core/data/documents.hpp"
#include "core/data/utf8.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/gzip.hpp"

using espalier::DocumentReader;
using espalier::Error;
using espalier::first_invalid_utf8;
using espalier::parse_jsonl;
using espalier::RawBatch;
using espalier::RawPiece;
using espalier::Scratch;
using espalier::TextFile;
using espalier::write_text;
using espalier::testing::write_gzip;

namespace {

std::vector<RawPiece> read_all(const std::vector<TextFile>& files, std::size_t piece_bytes = 1 << 22,
                               bool cut = false) {
  DocumentReader reader(files, piece_bytes, cut);
  std::vector<RawPiece> pieces;
  RawBatch batch;
  while (reader.next(batch)) {
    pieces.insert(pieces.end(), std::make_move_iterator(batch.pieces.begin()),
                  std::make_move_iterator(batch.pieces.end()));
  }
  return pieces;
}

std::string damaged_gzip(const Scratch& scratch, std::size_t keep) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i * 7919) + "\n";
  write_gzip(scratch / "a.jsonl.gz", text);
  const std::string bytes = espalier::read_text(scratch / "a.jsonl.gz");
  write_text(scratch / "a.jsonl.gz", bytes.substr(0, keep == 0 ? bytes.size() / 2 : keep));
  return (scratch / "a.jsonl.gz").string();
}

}  // namespace

TEST_CASE("a plain file is one document, and lines are documents of JSONL") {
  const Scratch scratch;
  write_text(scratch / "a.txt", "one\ntwo\n");
  write_text(scratch / "empty.txt", "");
  write_text(scratch / "b.jsonl", "{1}\n\n{2}");
  const auto pieces = read_all(
      {{scratch / "a.txt", "a.txt"}, {scratch / "empty.txt", "empty.txt"}, {scratch / "b.jsonl", "b.jsonl", true}});
  REQUIRE(pieces.size() == 5);
  CHECK(pieces[0].text == "one\ntwo\n");
  CHECK((pieces[0].first && pieces[0].last && pieces[0].line == 0));
  CHECK((pieces[1].text.empty() && pieces[1].file == 1));
  CHECK((pieces[2].text == "{1}" && pieces[2].line == 1));
  CHECK((pieces[3].text.empty() && pieces[3].line == 2));
  CHECK((pieces[4].text == "{2}" && pieces[4].line == 3));
}

TEST_CASE("gzip is inflated, several members in a row too") {
  const Scratch scratch;
  write_gzip(scratch / "a.jsonl.gz", "{1}\n");
  write_gzip(scratch / "a.jsonl.gz", "{2}\n", "ab");
  const auto pieces = read_all({{scratch / "a.jsonl.gz", "a", true, true}});
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[1].text == "{2}");
}

TEST_CASE("a damaged archive is refused") {
  const Scratch scratch;
  const std::string cut = damaged_gzip(scratch, 0);
  const std::vector<TextFile> files = {{cut, "a", true, true}};
  CHECK_THROWS_WITH_AS(read_all(files), (cut + ": archive is cut short; got its end before the data's").c_str(), Error);
  std::string bytes = espalier::read_text(damaged_gzip(scratch, 4000));
  for (std::size_t i = 2000; i < 2100; ++i) bytes[i] = 'x';
  write_text(cut, bytes);
  CHECK_THROWS_AS(read_all(files), Error);
  write_text(cut, "{\"text\": \"plain\"}\n");
  CHECK_THROWS_WITH_AS(read_all(files), (cut + ": not a gzip archive; got other first bytes").c_str(), Error);
}

TEST_CASE("long text comes in pieces that join to the whole") {
  const Scratch scratch;
  std::string text;
  for (int i = 0; i < 300; ++i) text += (i % 7 == 0 ? "\n  indented " : "\nline ") + std::to_string(i) + " \xC3\xA4";
  write_text(scratch / "a.txt", text);
  for (const bool cut : {false, true}) {
    for (const std::size_t size : {64UL, 100UL, text.size() - 1, text.size(), text.size() + 1}) {
      CAPTURE(size);
      const auto pieces = read_all({{scratch / "a.txt", "a.txt"}}, size, cut);
      std::string joined;
      for (const RawPiece& piece : pieces) {
        CHECK(piece.offset == joined.size());
        CHECK(piece.first == joined.empty());
        CHECK(piece.text.size() <= size);
        if (cut && !piece.last) CHECK(piece.text.back() == '\n');
        joined += piece.text;
        CHECK(piece.last == (&piece == &pieces.back()));
      }
      CHECK(joined == text);
    }
  }
}

TEST_CASE("a piece without a newline is never cut inside a character") {
  const Scratch scratch;
  std::string text;
  for (int i = 0; i < 50; ++i) text += "\xE2\x82\xAC";
  write_text(scratch / "a.txt", text);
  for (std::size_t size = 8; size < 13; ++size) {
    for (const RawPiece& piece : read_all({{scratch / "a.txt", "a.txt"}}, size, true)) {
      CHECK(first_invalid_utf8(piece.text) == std::string::npos);
    }
  }
}

TEST_CASE("lines longer than a batch are read whole") {
  const Scratch scratch;
  const std::string longer(3'000'000, 'x');
  write_text(scratch / "a.jsonl", "a\n" + longer + "\nb\n");
  const auto pieces = read_all({{scratch / "a.jsonl", "a", true}});
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[1].text == longer);
  CHECK((pieces[2].text == "b" && pieces[2].line == 3));
}

TEST_CASE("the three forms of a JSONL line are understood") {
  const auto text = parse_jsonl(R"({"text": "a\nb", "meta": [1]})", "f:1");
  CHECK((text && text->text == "a\nb" && text->prompt_bytes == -1));
  const auto prompt = parse_jsonl(R"({"completion": "d", "prompt": "ä"})", "f:1");
  CHECK((prompt && prompt->text == "äd" && prompt->prompt_bytes == 2));
  const auto input = parse_jsonl("{\"input\": \"\", \"output\": \"x\"}\r", "f:1");
  CHECK((input && input->text == "x" && input->prompt_bytes == 0));
  CHECK_FALSE(parse_jsonl(" \t\r", "f:1").has_value());
}

TEST_CASE("a JSONL line that is no document says what it lacks") {
  const auto check = [](const char* line, const char* text) {
    CHECK_THROWS_WITH_AS(parse_jsonl(line, "a.jsonl:3"), text, Error);
  };
  check(
      R"({"messages": [], "id": 3})",
      R"(a.jsonl:3: no text; got the keys id, messages; expected "text", or "prompt" with "completion", or "input" with "output")");
  check("{}",
        R"(a.jsonl:3: no text; got no keys; expected "text", or "prompt" with "completion", or "input" with "output")");
  check(
      "[1]",
      R"(a.jsonl:3: not a JSON object; got array; expected "text", or "prompt" with "completion", or "input" with "output")");
  check(R"({"text": 5})", R"(a.jsonl:3: "text" is not a string; got number)");
  check(
      R"({"prompt": "a"})",
      R"(a.jsonl:3: "completion" is missing; expected "text", or "prompt" with "completion", or "input" with "output")");
  check(
      R"({"text": "a)",
      R"(a.jsonl:3:12: not valid JSON; got syntax error while parsing value - invalid string: missing closing quote; last read: '"a')");
}

TEST_CASE("UTF-8 is checked strictly") {
  CHECK(first_invalid_utf8("plain text, longer than eight bytes; \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x8C\xB3") ==
        std::string::npos);
  CHECK(first_invalid_utf8("0123456789\xFF") == 10);
  CHECK(first_invalid_utf8("\xC0\xAF") == 0);          // overlong
  CHECK(first_invalid_utf8("\xE0\x80\x80") == 0);      // overlong
  CHECK(first_invalid_utf8("a\xED\xA0\x80") == 1);     // surrogate
  CHECK(first_invalid_utf8("\xF4\x90\x80\x80") == 0);  // beyond U+10FFFF
  CHECK(first_invalid_utf8("ab\xE2\x82") == 2);        // cut short
}
