// SPDX-License-Identifier: Apache-2.0
#include "core/base/files.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "tests/core/base/scratch.hpp"

namespace fs = std::filesystem;
using espalier::Error;
using espalier::Scratch;

namespace {

int entries(const fs::path& folder) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++count;
  return count;
}

std::string text_of(const espalier::MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

TEST_CASE("text is read as it was written, zero bytes included, and nothing else stays in the folder") {
  const Scratch scratch;
  const std::string text("a\0b\r\n\xff", 6);
  espalier::write_text(scratch / "new/deep/file", text);
  CHECK(espalier::read_text(scratch / "new/deep/file") == text);
  CHECK(entries(scratch / "new/deep") == 1);
}

TEST_CASE("reading what is not there, or a folder, says why") {
  const Scratch scratch;
  const std::string absent = (scratch / "absent").string();
  CHECK_THROWS_WITH_AS(espalier::read_text(absent), (absent + ": cannot read; got No such file or directory").c_str(),
                       Error);
  CHECK_THROWS_WITH_AS(espalier::read_text(scratch.folder()),
                       (scratch.folder().string() + ": cannot read; got a folder; expected a file").c_str(), Error);
}

TEST_CASE("JSON is written with sorted keys, two spaces and a final newline") {
  const Scratch scratch;
  espalier::write_json(scratch / "x.json", nlohmann::json{{"b", 1}, {"a", nlohmann::json::array({1})}});
  CHECK(espalier::read_text(scratch / "x.json") == "{\n  \"a\": [\n    1\n  ],\n  \"b\": 1\n}\n");
  CHECK(espalier::read_json(scratch / "x.json")["b"] == 1);
}

TEST_CASE("damaged JSON is refused with line and column") {
  const Scratch scratch;
  espalier::write_text(scratch / "x.json", "{\n  \"a\": 1,\n  oops\n}");
  const std::string place = (scratch / "x.json").string() + ":3:3: not valid JSON; got ";
  try {
    espalier::read_json(scratch / "x.json");
    FAIL("damaged JSON was read");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).substr(0, place.size()) == place);
  }
}

TEST_CASE("a pending file that is not committed leaves the old content and no trace") {
  const Scratch scratch;
  espalier::write_text(scratch / "file", "old");
  {
    espalier::PendingFile pending(scratch / "file");
    pending.write("new content", 11);
  }
  CHECK(espalier::read_text(scratch / "file") == "old");
  CHECK(entries(scratch.folder()) == 1);
}

TEST_CASE("a pending file is written in any order and replaces the old one at once") {
  const Scratch scratch;
  espalier::write_text(scratch / "file", "old, and longer");
  espalier::PendingFile pending(scratch / "file");
  pending.reserve(6);
  pending.write("ab", 2);
  pending.write_at(4, "ef", 2);
  pending.write("cd", 2);
  CHECK(espalier::read_text(scratch / "file") == "old, and longer");
  pending.commit();
  CHECK(espalier::read_text(scratch / "file") == "abcdef");
  CHECK(entries(scratch.folder()) == 1);
}

TEST_CASE("what a killed writer left is overwritten, not kept") {
  const Scratch scratch;
  const auto abandoned = new espalier::PendingFile(scratch / "file");  // never destroyed before the next writer
  abandoned->write("rubbish that is longer", 22);
  espalier::write_text(scratch / "file", "good");
  CHECK(espalier::read_text(scratch / "file") == "good");
  delete abandoned;
  CHECK(espalier::read_text(scratch / "file") == "good");
}

TEST_CASE("a full disk is reported, and the old content stays") {
  const Scratch scratch;
  espalier::write_text(scratch / "file", "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string big(10000, 'x');
  const std::string message = (scratch / "file").string() + ": cannot write; got File too large";
  CHECK_THROWS_WITH_AS(espalier::write_text(scratch / "file", big), message.c_str(), Error);
  const std::string early = (scratch / "file").string() + ": cannot reserve the space; got File too large";
  CHECK_THROWS_WITH_AS(espalier::PendingFile(scratch / "file").reserve(10000), early.c_str(), Error);
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(espalier::read_text(scratch / "file") == "old");
  CHECK(entries(scratch.folder()) == 1);
}

TEST_CASE("a file in the place of a folder is reported") {
  const Scratch scratch;
  espalier::write_text(scratch / "file", "x");
  const std::string message = (scratch / "file").string() + ": cannot make the folder; got Not a directory";
  CHECK_THROWS_WITH_AS(espalier::write_text(scratch / "file/below", "y"), message.c_str(), Error);
}

TEST_CASE("a pending folder appears whole, and replaces an old one whole") {
  const Scratch scratch;
  for (const std::string content : {"first", "second"}) {
    espalier::PendingFolder pending(scratch / "out/");
    espalier::write_text(pending.path() / content, content);
    CHECK_FALSE(fs::exists(scratch / "out" / content));
    pending.commit();
    CHECK(espalier::read_text(scratch / "out" / content) == content);
  }
  CHECK_FALSE(fs::exists(scratch / "out" / "first"));
  CHECK(entries(scratch.folder()) == 1);
}

TEST_CASE("a pending folder that is not committed leaves the old one and no trace") {
  const Scratch scratch;
  espalier::write_text(scratch / "out/file", "old");
  {
    espalier::PendingFolder pending(scratch / "out");
    espalier::write_text(pending.path() / "file", "new");
  }
  CHECK(espalier::read_text(scratch / "out/file") == "old");
  CHECK(entries(scratch.folder()) == 1);
}

TEST_CASE("a mapped file shows its bytes for as long as somebody holds it") {
  const Scratch scratch;
  espalier::write_text(scratch / "file", "mapped bytes");
  std::shared_ptr<const void> held;
  const std::byte* data = nullptr;
  {
    const espalier::MappedFile file(scratch / "file");
    CHECK(text_of(file) == "mapped bytes");
    CHECK(file.path() == scratch / "file");
    file.forget(0, 12);
    CHECK(text_of(file) == "mapped bytes");
    file.forget(5, 1'000'000'000);  // beyond the end
    held = file.keep_alive();
    data = file.bytes().data();
  }
  CHECK(std::memcmp(data, "mapped bytes", 12) == 0);
}

TEST_CASE("an empty file maps to nothing; a folder and a missing file do not map") {
  const Scratch scratch;
  espalier::write_text(scratch / "empty", "");
  CHECK(espalier::MappedFile(scratch / "empty").bytes().empty());
  CHECK_THROWS_WITH_AS(espalier::MappedFile(scratch.folder()),
                       (scratch.folder().string() + ": cannot read; got something that is not a regular file").c_str(),
                       Error);
  const std::string absent = (scratch / "absent").string();
  CHECK_THROWS_WITH_AS(espalier::MappedFile{absent}, (absent + ": cannot read; got No such file or directory").c_str(),
                       Error);
}

TEST_CASE("copying gives the same bytes, and an empty file stays empty") {
  const Scratch scratch;
  espalier::write_text(scratch / "a", std::string(100000, 'q'));
  espalier::write_text(scratch / "empty", "");
  espalier::copy_file(scratch / "a", scratch / "sub/b");
  espalier::copy_file(scratch / "empty", scratch / "sub/c");
  CHECK(espalier::read_text(scratch / "sub/b") == std::string(100000, 'q'));
  CHECK(espalier::read_text(scratch / "sub/c").empty());
}

TEST_CASE("a second run in a folder is refused and the first is named; afterwards the folder is free") {
  const Scratch scratch;
  const std::string folder = (scratch / "run").string();
  {
    const espalier::FolderLock lock(folder);
    const std::string message = folder + ": another run is at work in this folder; got a lock held by process " +
                                std::to_string(getpid()) + "; expected to be alone";
    CHECK_THROWS_WITH_AS(espalier::FolderLock{folder}, message.c_str(), Error);
  }
  CHECK_NOTHROW(espalier::FolderLock{folder});
}
