// SPDX-License-Identifier: Apache-2.0
#include "core/data/pack_info.hpp"

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/data/prepare.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/quick_write.hpp"

namespace fs = std::filesystem;
using espalier::Error;
using espalier::mix;
using espalier::read_text;
using espalier::Scratch;
using espalier::TokenFile;
using espalier::testing::quick_write;

namespace {

// Five documents, one of them with a prompt: all five files are there.
std::string packed(const Scratch& scratch) {
  quick_write(scratch / "a.jsonl",
              "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"prompt\": \"th\", \"completion\": \"ree\"}\n{\"text\": "
              "\"four\"}\n{\"text\": \"five\"}\n");
  espalier::DataRequest request;
  request.sources.push_back({(scratch / "a.jsonl").string(), std::nullopt, ""});
  espalier::pack(request, scratch / "p", 1);
  return (scratch / "p").string();
}

// Everything a reader can be asked.
void use(const TokenFile& file) {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(file.size()));
  std::vector<std::uint8_t> mask(tokens.size());
  file.read(0, file.size(), tokens.data());
  file.read_mask(0, file.size(), mask.data());
  const auto documents = static_cast<std::int64_t>(file.document_ends().size());
  for (std::int64_t i = 0; i < documents; ++i) file.record(i);
  if (documents > 1 && file.document_ends()[0] > 0) use(file.select({0}));
  file.max_token();
  file.text_bytes();
  file.digest();
}

}  // namespace

TEST_CASE("files beside the tokens that contradict them are refused") {
  const Scratch scratch;
  const std::string p = packed(scratch);
  const std::string docs = read_text(p + ".docs"), json = read_text(p + ".json");
  quick_write(p + ".docs", docs.substr(0, docs.size() - 1));
  CHECK_THROWS_WITH_AS(TokenFile(p, ""),
                       (p + ".docs: does not fit its index; got 167 bytes; expected 168 (5 documents)").c_str(), Error);
  quick_write(p + ".docs", docs);
  fs::remove(p + ".mask");
  CHECK_THROWS_WITH_AS(TokenFile(p, ""),
                       (p + ".mask: not found; expected the loss mask that " + p + ".json promises").c_str(), Error);
  std::string edited = json;
  edited.replace(edited.find("\"text_bytes\": 19"), 16, "\"text_bytes\": -9");
  quick_write(p + ".json", edited);
  CHECK_THROWS_WITH_AS(
      TokenFile(p, ""),
      (p + ".json: counts are damaged; got -9 bytes of text and largest token 256; expected 0 or more").c_str(), Error);
  edited = json;
  edited.replace(edited.find("\"digest\""), 8, "\"digits\"");
  quick_write(p + ".json", edited);
  CHECK_THROWS_WITH_AS(TokenFile(p, ""),
                       doctest::Contains(".json: does not describe packed tokens as this program writes it; got "),
                       Error);
}

TEST_CASE("random damage to any file of a pack ends in an error or in something readable, never in a crash") {
  const Scratch scratch;
  const std::string p = packed(scratch);
  int refused = 0;
  for (std::uint64_t round = 0; round < 1000; ++round) {
    const std::string path = p + std::vector<std::string>{".bin", ".idx", ".docs", ".json", ".mask"}[round % 5];
    const std::string good = read_text(path);
    std::string bytes = good;
    const std::uint64_t dice = mix(round);
    bytes[dice % bytes.size()] = static_cast<char>(dice >> 40);
    if (dice % 5 == 0) bytes.resize((dice >> 20) % (bytes.size() + 10));
    quick_write(path, bytes);
    try {
      use(TokenFile(p, ""));
    } catch (const Error&) {
      ++refused;
    }
    quick_write(path, good);
  }
  CHECK(refused > 200);
  use(TokenFile(p, ""));
}
