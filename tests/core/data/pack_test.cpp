// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/data/prepare.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/all_tokens.hpp"
#include "tests/core/data/gzip.hpp"
#include "tests/core/data/token_bytes.hpp"

namespace fs = std::filesystem;
using espalier::DataRequest;
using espalier::Error;
using espalier::pack;
using espalier::PackReport;
using espalier::read_text;
using espalier::RecipeError;
using espalier::Scratch;
using espalier::TokenFile;
using espalier::write_text;
using espalier::testing::all_tokens;
using espalier::testing::Tokens;

namespace {

DataRequest request_of(const Scratch& scratch, const std::vector<std::string>& names) {
  DataRequest request;
  for (const std::string& name : names) request.sources.push_back({(scratch / name).string(), std::nullopt, ""});
  return request;
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("bytes are packed with 256 behind each document") {
  const Scratch scratch;
  write_text(scratch / "in/b.txt", "cd\xFF");
  write_text(scratch / "in/a.txt", "ab");
  write_text(scratch / "in/empty.txt", "");
  const PackReport report = pack(request_of(scratch, {"in/*.txt"}), scratch / "out/p", 2);
  CHECK(report.documents == 2);
  CHECK(report.empty == 1);
  CHECK(report.duplicates == 0);
  CHECK(report.tokens == 7);
  CHECK(report.bytes == 5);
  CHECK(report.token_type == "uint16");
  const TokenFile file(scratch / "out/p", "");
  CHECK(all_tokens(file) == Tokens{97, 98, 256, 99, 100, 255, 256});
  CHECK(file.document_ends() == Tokens{3, 7});
  CHECK(file.text_bytes() == 5);
  CHECK(file.max_token() == 256);
  CHECK(file.record(1).text_bytes == 3);
  CHECK(files_in(scratch / "out") == std::vector<std::string>{"p.bin", "p.docs", "p.idx", "p.json"});
  CHECK(read_text(scratch / "out/p.idx") == espalier::testing::megatron_index(8, 2, {3, 4}, {0, 1, 2}));
}

TEST_CASE("PREFIX.json tells how the tokens were made, and nothing of the machine") {
  const Scratch scratch;
  write_text(scratch / "in/sub/a.txt", "ab");
  pack(request_of(scratch, {"in/**/*.txt"}), scratch / "p", 1);
  const nlohmann::json json = espalier::read_json(scratch / "p.json");
  CHECK(json["tokenizer"] == "bytes");
  CHECK(json["vocab"] == 257);
  CHECK(json["eod"] == 256);
  CHECK(json["documents"] == 1);
  CHECK(json["tokens"] == 3);
  CHECK(json["text_bytes"] == 2);
  CHECK(json["max_token"] == 256);
  CHECK(json["mask"] == false);
  CHECK(json["sources"] == nlohmann::json::parse(R"([{"files": 1, "name": "**/*.txt"}])"));
  CHECK(json["digest"] == TokenFile(scratch / "p", "").digest());
  CHECK(read_text(scratch / "p.json").find(scratch.folder().string()) == std::string::npos);
}

TEST_CASE("the loss is on the completion only, and a mask says so") {
  const Scratch scratch;
  write_text(scratch / "a.jsonl", "{\"text\": \"abc\"}\n{\"prompt\": \"de\", \"completion\": \"f\"}\n");
  espalier::testing::write_gzip(scratch / "b.jsonl.gz", "{\"input\": \"g\", \"output\": \"hi\"}\n");
  pack(request_of(scratch, {"a.jsonl", "b.jsonl.gz"}), scratch / "p", 2);
  const TokenFile file(scratch / "p", "");
  CHECK(all_tokens(file) == Tokens{97, 98, 99, 256, 100, 101, 102, 256, 103, 104, 105, 256});
  REQUIRE(file.has_loss_mask());
  std::vector<std::uint8_t> mask(12);
  file.read_mask(0, 12, mask.data());
  CHECK(mask == std::vector<std::uint8_t>{1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1});
  CHECK(espalier::read_json(scratch / "p.json")["digest"] == file.digest());
  // The mask of an older pack must not outlive it.
  write_text(scratch / "c.txt", "plain");
  pack(request_of(scratch, {"c.txt"}), scratch / "p", 1);
  CHECK_FALSE(TokenFile(scratch / "p", "").has_loss_mask());
}

TEST_CASE("exact duplicates count once, the first stays, whatever format they come in") {
  const Scratch scratch;
  write_text(scratch / "a.txt", "same");
  write_text(scratch / "b.jsonl", "{\"text\": \"other\"}\n{\"text\": \"same\"}\n{\"text\": \"other\"}\n");
  espalier::testing::write_gzip(scratch / "c.txt.gz", "same");
  // The same characters with a prompt are another document: the loss differs.
  write_text(scratch / "d.jsonl", "{\"prompt\": \"sa\", \"completion\": \"me\"}\n");
  DataRequest request = request_of(scratch, {"a.txt", "b.jsonl", "c.txt.gz", "d.jsonl"});
  CHECK(pack(request, scratch / "all", 2).documents == 6);
  request.deduplicate = true;
  const PackReport report = pack(request, scratch / "once", 2);
  CHECK(report.documents == 3);
  CHECK(report.duplicates == 3);
  CHECK(report.tokens == 5 + 6 + 5);
}

TEST_CASE("the same input gives the same bytes, with any number of workers") {
  const Scratch scratch;
  std::string lines, text;
  for (int i = 0; i < 3000; ++i) lines += "{\"text\": \"document number " + std::to_string(i * i % 977) + "\"}\n";
  for (int i = 0; i < 900'000; ++i) text += std::to_string(i);
  write_text(scratch / "a.jsonl", lines);
  write_text(scratch / "b.txt", text);  // longer than a piece
  DataRequest request = request_of(scratch, {"a.jsonl", "b.txt"});
  request.deduplicate = true;
  pack(request, scratch / "one", 1);
  pack(request, scratch / "four", 4);
  for (const char* end : {".bin", ".idx", ".docs", ".json"}) {
    CHECK(read_text(scratch / (std::string("one") + end)) == read_text(scratch / (std::string("four") + end)));
  }
  const TokenFile file(scratch / "one", "");
  CHECK(file.document_ends().size() > 2);
  CHECK(file.record(static_cast<std::int64_t>(file.document_ends().size()) - 1).text_bytes == text.size());
}

TEST_CASE("errors name file and line, and leave nothing behind") {
  const Scratch scratch;
  write_text(scratch / "a.jsonl", "{\"text\": \"abc\"}\n\n{\"txt\": \"abc\"}\n");
  const std::string a = (scratch / "a.jsonl").string();
  CHECK_THROWS_WITH_AS(pack(request_of(scratch, {"a.jsonl"}), scratch / "out/p", 2),
                       (a + R"(:3: no text; got the keys txt; expected "text", or "prompt" with "completion", or )" +
                        R"("input" with "output")")
                           .c_str(),
                       Error);
  CHECK(files_in(scratch / "out").empty());
}

TEST_CASE("what cannot be packed is refused") {
  const Scratch scratch;
  espalier::testing::write_pair(scratch / "t");
  write_text(scratch / "empty.txt", "");
  const std::string t = (scratch / "t").string();
  CHECK_THROWS_WITH_AS(pack(request_of(scratch, {"t"}), scratch / "p", 1),
                       (t + ": is packed already; got a token file; expected text").c_str(), RecipeError);
  CHECK_THROWS_WITH_AS(pack(request_of(scratch, {"empty.txt"}), scratch / "p", 1),
                       "pack p: no document is left; got 1 empty and 0 seen before", Error);
  CHECK_THROWS_WITH_AS(pack({}, scratch / "p", 1), "nothing to pack; got no input; expected files or globs",
                       RecipeError);
}
