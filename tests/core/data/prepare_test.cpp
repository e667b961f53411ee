// SPDX-License-Identifier: Apache-2.0
#include "core/data/prepare.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include <spdlog/spdlog.h>

#include "core/base/error.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/quick_write.hpp"
#include "tests/core/data/tiny_tokenizer.hpp"
#include "tests/core/data/token_bytes.hpp"

namespace fs = std::filesystem;
using espalier::DataRequest;
using espalier::Error;
using espalier::prepare;
using espalier::RecipeError;
using espalier::Scratch;
using espalier::Split;
using espalier::TokenFile;
using espalier::TokenSource;
using espalier::write_text;

namespace {

using Texts = std::set<std::string>;

[[maybe_unused]] const bool kQuiet = (spdlog::set_level(spdlog::level::off), true);

DataRequest cached_request(const Scratch& scratch, const std::vector<std::string>& names) {
  DataRequest request;
  for (const std::string& name : names) request.sources.push_back({(scratch / name).string(), std::nullopt, name});
  request.cache = scratch / "cache";
  return request;
}

// The documents of a source as text.
Texts texts(const TokenFile& file) {
  Texts texts;
  std::int64_t begin = 0;
  for (const std::int64_t end : file.document_ends()) {
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(end - begin));
    file.read(begin, end, tokens.data());
    texts.insert(std::string(tokens.begin(), tokens.end() - 1));
    begin = end;
  }
  return texts;
}

std::map<std::string, fs::file_time_type> cache_of(const Scratch& scratch) {
  std::map<std::string, fs::file_time_type> files;
  for (const auto& entry : fs::directory_iterator(scratch / "cache")) {
    files[entry.path().filename().string()] = entry.last_write_time();
  }
  return files;
}

int packs(const Scratch& scratch) {
  int count = 0;
  for (const auto& [name, time] : cache_of(scratch)) count += name.ends_with(".json") ? 1 : 0;
  return count;
}

void write_files(const Scratch& scratch, int from, int to) {
  for (int i = from; i < to; ++i) {
    espalier::testing::quick_write(scratch / ("in/d" + std::to_string(i % 7) + "/" + std::to_string(i) + ".txt"),
                                   "text " + std::to_string(i));
  }
}

}  // namespace

TEST_CASE("text is packed once, and again only when something changed") {
  const Scratch scratch;
  write_files(scratch, 0, 10);
  const DataRequest request = cached_request(scratch, {"in/**/*.txt"});
  const std::string digest = prepare(request, Split::all, 0)[0].tokens.digest();
  const auto first = cache_of(scratch);
  CHECK(packs(scratch) == 1);
  CHECK(prepare(request, Split::all, 0)[0].tokens.digest() == digest);
  CHECK((cache_of(scratch) == first));

  write_text(scratch / "in/d3/3.txt", "text X");  // the same size, at nearly the same time
  CHECK(texts(prepare(request, Split::all, 0)[0].tokens).contains("text X"));
  CHECK(packs(scratch) == 2);
  fs::rename(scratch / "in/d3/3.txt", scratch / "in/d3/33.txt");  // another identity
  prepare(request, Split::all, 0);
  CHECK(packs(scratch) == 3);
}

TEST_CASE("a remembered digest is not believed when the file changed") {
  const Scratch scratch;
  write_files(scratch, 0, 3);
  const DataRequest request = cached_request(scratch, {"in/**/*.txt"});
  const auto before = fs::last_write_time(scratch / "in/d0/0.txt") - std::chrono::hours(1);
  fs::last_write_time(scratch / "in/d0/0.txt", before);
  prepare(request, Split::all, 0);
  write_text(scratch / "in/d0/0.txt", "text Y");
  fs::last_write_time(scratch / "in/d0/0.txt", before);  // size and time of modification are as they were
  CHECK(texts(prepare(request, Split::all, 0)[0].tokens).contains("text Y"));
}

TEST_CASE("a damaged pack in the cache is made again") {
  const Scratch scratch;
  write_files(scratch, 0, 10);
  const DataRequest request = cached_request(scratch, {"in/**/*.txt"});
  const TokenFile tokens = prepare(request, Split::all, 0)[0].tokens;
  const std::string digest = tokens.digest();
  fs::resize_file(tokens.path(), 10);
  CHECK(prepare(request, Split::all, 0)[0].tokens.digest() == digest);
  fs::remove(fs::path(tokens.path()).replace_extension(".docs"));
  CHECK(prepare(request, Split::all, 0)[0].tokens.digest() == digest);
}

TEST_CASE("train and validation are disjoint, complete, and near the fraction") {
  const Scratch scratch;
  write_files(scratch, 0, 300);
  const DataRequest request = cached_request(scratch, {"in/**/*.txt"});
  const TokenFile train = prepare(request, Split::train, 0.2)[0].tokens;
  const TokenFile valid = prepare(request, Split::valid, 0.2)[0].tokens;
  const Texts in_train = texts(train), in_valid = texts(valid);
  CHECK(in_train.size() + in_valid.size() == 300);
  for (const std::string& text : in_valid) CHECK_FALSE(in_train.contains(text));
  CHECK(in_valid.size() > 35);
  CHECK(in_valid.size() < 85);
  CHECK(*train.text_bytes() + *valid.text_bytes() == *prepare(request, Split::all, 0)[0].tokens.text_bytes());
  CHECK(*valid.text_bytes() == valid.size() - static_cast<std::int64_t>(in_valid.size()));
  CHECK(texts(prepare(request, Split::train, 0)[0].tokens).size() == 300);
}

TEST_CASE("a file that is added moves no other across the split") {
  const Scratch scratch;
  write_files(scratch, 0, 100);
  const DataRequest request = cached_request(scratch, {"in/**/*.txt"});
  const Texts before = texts(prepare(request, Split::valid, 0.3)[0].tokens);
  write_files(scratch, 100, 200);
  const Texts after = texts(prepare(request, Split::valid, 0.3)[0].tokens);
  CHECK(after.size() > before.size());
  for (const std::string& text : before) CHECK(after.contains(text));
  for (int i = 0; i < 100; ++i) {
    const std::string text = "text " + std::to_string(i);
    CHECK(before.contains(text) == after.contains(text));
  }
}

TEST_CASE("a packed prefix is split as the text it was made of") {
  const Scratch scratch;
  write_files(scratch, 0, 100);
  const DataRequest text = cached_request(scratch, {"in/**/*.txt"});
  espalier::pack(text, scratch / "packed", 2);
  CHECK(texts(prepare(cached_request(scratch, {"packed"}), Split::valid, 0.3)[0].tokens) ==
        texts(prepare(text, Split::valid, 0.3)[0].tokens));
}

TEST_CASE("duplicates are dropped across sources in their order") {
  const Scratch scratch;
  write_text(scratch / "a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  write_text(scratch / "b.jsonl", "{\"text\": \"two\"}\n{\"text\": \"three\"}\n{\"text\": \"three\"}\n");
  DataRequest request = cached_request(scratch, {"a.jsonl", "b.jsonl"});
  CHECK(texts(prepare(request, Split::all, 0)[1].tokens) == Texts{"two", "three"});
  request.deduplicate = true;
  for (int i = 0; i < 2; ++i) {  // packed, then from the cache
    const auto sources = prepare(request, Split::all, 0);
    CHECK(texts(sources[0].tokens) == Texts{"one", "two"});
    CHECK(texts(sources[1].tokens) == Texts{"three"});
    CHECK(sources[1].tokens.document_ends().size() == 1);
  }
  std::swap(request.sources[0], request.sources[1]);
  CHECK(texts(prepare(request, Split::all, 0)[1].tokens) == Texts{"one"});
  request.sources.push_back(request.sources[1]);
  CHECK_THROWS_WITH_AS(prepare(request, Split::all, 0),
                       "pack a.jsonl: no document is left; got 0 empty and 2 seen before", Error);
}

TEST_CASE("token files are used in place, packed ones with duplicates of text dropped") {
  const Scratch scratch;
  espalier::testing::write_pair(scratch / "foreign");
  write_text(scratch / "a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  espalier::pack(cached_request(scratch, {"a.jsonl"}), scratch / "packed", 1);
  write_text(scratch / "b.jsonl", "{\"text\": \"two\"}\n");
  DataRequest request = cached_request(scratch, {"b.jsonl", "packed", "foreign", "foreign.bin"});
  request.sources[0].weight = 2.5;
  const auto all = prepare(request, Split::all, 0);
  CHECK(all[0].weight == 2.5);
  CHECK(all[2].name == "foreign");
  CHECK(all[2].tokens.path() == scratch / "foreign.bin");
  CHECK(texts(all[1].tokens) == Texts{"one", "two"});
  request.deduplicate = true;
  request.sources.pop_back();
  CHECK(texts(prepare(request, Split::all, 0)[1].tokens) == Texts{"one"});
  request.sources.push_back(request.sources.back());
  CHECK_THROWS_WITH_AS(prepare(request, Split::all, 0), "foreign: no document is left; got 3 seen before", Error);
}

TEST_CASE("a source without validation documents is left out, and an empty part is an error") {
  const Scratch scratch;
  write_files(scratch, 0, 60);
  write_text(scratch / "alone.txt", "x");
  CHECK(prepare(cached_request(scratch, {"in/**/*.txt", "alone.txt"}), Split::valid, 0.2).size() == 1);
  CHECK_THROWS_WITH_AS(prepare(cached_request(scratch, {"alone.txt"}), Split::valid, 0.2),
                       "alone.txt: the validation part is empty; got valid_fraction 0.2; expected more documents or a "
                       "larger fraction",
                       Error);
  CHECK_THROWS_WITH_AS(prepare(cached_request(scratch, {"alone.txt"}), Split::train, 0.9999),
                       "alone.txt: nothing is left to train on; got 1 documents, all of them in the validation part; "
                       "expected more documents or a smaller valid_fraction than 0.9999",
                       Error);
  CHECK_THROWS_WITH_AS(prepare(cached_request(scratch, {"alone.txt"}), Split::valid, 0),
                       "valid_fraction is out of range; got 0; expected above 0 and below 1", RecipeError);
}

TEST_CASE("a Hugging Face tokenizer packs in parallel and in order") {
  const Scratch scratch;
  espalier::testing::write_tiny_tokenizer(scratch / "tokenizer");
  std::string lines;
  for (int i = 0; i < 3000; ++i)
    lines += "{\"text\": \"" + std::string(static_cast<std::size_t>(i % 11) + 1, 'c') + "\"}\n";
  write_text(scratch / "a.jsonl", lines);
  DataRequest request = cached_request(scratch, {"a.jsonl"});
  request.tokenizer = (scratch / "tokenizer").string();
  const TokenFile file = prepare(request, Split::all, 0)[0].tokens;
  REQUIRE(file.document_ends().size() == 3000);
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < 3000; ++i) {
    REQUIRE(file.document_ends()[i] - begin == static_cast<std::int64_t>(i % 11) + 2);
    begin = file.document_ends()[i];
  }
  CHECK(file.max_token() == 8);
}

TEST_CASE("processes that prepare the same data at once all get it") {
  const Scratch scratch;
  write_files(scratch, 0, 200);
  const DataRequest request = cached_request(scratch, {"in/**/*.txt"});
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      int code = 1;
      try {
        code = prepare(request, Split::all, 0)[0].tokens.document_ends().size() == 200 ? 0 : 2;
      } catch (...) {
      }
      _exit(code);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  CHECK(packs(scratch) == 1);
  for (const auto& [name, time] : cache_of(scratch)) CHECK_FALSE(name.ends_with(".lock"));
}
