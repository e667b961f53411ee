// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/abi_check.hpp"

#include <cstdint>
#include <cstring>
#include <string>

#include "espalier/sdk/abi.hpp"
#include "support.hpp"

using espalier::check_stamp;
using espalier::read_stamp;
using espalier::stamp_differences;
using espalier_test::bytes_of;
using espalier_test::fixture;
using espalier_test::Folder;

TEST_CASE("the stamp is read from the file") { CHECK(read_stamp(fixture("good")) == ESPALIER_STAMP); }

TEST_CASE("the stamp survives strip") {
  const std::string stripped = ESPALIER_FIXTURES "/stripped/libgood.so";
  CHECK(std::filesystem::file_size(stripped) < std::filesystem::file_size(fixture("good")));
  CHECK(read_stamp(stripped) == ESPALIER_STAMP);
  espalier::Registry registry;
  espalier::load_plugin(stripped, registry);
  CHECK(registry.plugins().at(0).name == "good");
}

TEST_CASE("every difference is told at once, and how to rebuild") {
  const std::string path = fixture("wrong_abi");
  CHECK_THROWS_WITH_AS(
      check_stamp(path),
      (path + ": was built for a different host\n"
              "         abi      got 999            expected 2\n"
              "         cc       got gcc3           expected " ESPALIER_COMPILER "\n"
              "         std      got 98             expected nothing\n"
              "  note: rebuild it with this program's SDK: cmake --build BUILD_FOLDER --target wrong_abi")
          .c_str(),
      espalier::Error);
}

TEST_CASE("a library without a stamp cannot be judged") {
  const std::string path = fixture("unstamped");
  CHECK_THROWS_WITH(read_stamp(path), (path + ": has no build stamp; expected a section named espalier:…: it is not a "
                                              "plugin of espalier, or not built with its SDK")
                                          .c_str());
}

TEST_CASE("stamps agree field by field, in any order; a plugin without kernels fits any CUDA") {
  CHECK(stamp_differences("espalier:abi=1:cc=gcc12:cuda=none", "espalier:cc=gcc12:abi=1:cuda=13.0").empty());
  CHECK(stamp_differences("espalier:cuda=12.0", "espalier:cuda=13.0") ==
        "\n         cuda     got 12.0           expected 13.0");
  CHECK(stamp_differences("espalier:abi", "espalier:abi=1") == "\n         abi      got                expected 1");
  CHECK(stamp_differences("espalier:", "espalier:abi=1") == "\n         abi      got nothing        expected 1");
}

TEST_CASE("what is no library is told in words") {
  const Folder folder;
  const std::string here = folder.path().string();
  const std::string end = "; expected a shared library (ELF, 64 bits, little-endian)";
  CHECK_THROWS_WITH(read_stamp(here), (here + ": is not a plugin; got a folder" + end).c_str());
  CHECK_THROWS_WITH(read_stamp("/dev/null"), ("/dev/null: is not a plugin; got a special file" + end).c_str());
  CHECK_THROWS_WITH(read_stamp("/nowhere/libx.so"), "/nowhere/libx.so: no such file; expected a plugin (lib….so)");
  const auto is = [&](const std::string& bytes, const std::string& what) {
    const std::string path = folder.write("libx.so", bytes).string();
    CHECK_THROWS_WITH(read_stamp(path), (path + ": is not a plugin; got " + what + end).c_str());
  };
  is("", "an empty file");
  is("abc", "3 bytes");
  is("import torch\n", "another kind of file");
  std::string elf = bytes_of(fixture("good"));
  REQUIRE(elf.size() > 64);
  elf[4] = 1;
  is(elf, "a 32-bit ELF file");
  elf[4] = 2;
  elf[5] = 2;
  is(elf, "a big-endian ELF file");
  elf[5] = 1;
  elf[16] = 1;
  is(elf, "an ELF file that is no shared library");
}

TEST_CASE("a truncated library is damaged, wherever it ends") {
  const Folder folder;
  const std::string whole = bytes_of(fixture("good"));
  REQUIRE(whole.size() > 64);
  for (const std::size_t size :
       {std::size_t{4}, std::size_t{63}, std::size_t{64}, whole.size() / 2, whole.size() - 1}) {
    const std::string path = folder.write("libx.so", whole.substr(0, size)).string();
    try {
      read_stamp(path);
      FAIL("a file of ", size, " bytes was accepted");
    } catch (const espalier::Error& error) {
      CHECK(std::string(error.what()).starts_with(path + ": is a damaged library; got "));
    }
  }
}

TEST_CASE("damage in the section table never reads outside the file") {
  const Folder folder;
  const std::string whole = bytes_of(fixture("good"));
  REQUIRE(whole.size() > 64);
  // e_shoff, e_shentsize, e_shnum and e_shstrndx of the header; then size and offset of the names' section.
  std::uint64_t table = 0;
  std::memcpy(&table, whole.data() + 40, sizeof table);
  std::uint16_t index = 0;
  std::memcpy(&index, whole.data() + 62, sizeof index);
  const std::size_t names = table + index * 64;
  for (const std::size_t place : {std::size_t{40}, std::size_t{47}, std::size_t{58}, std::size_t{60}, std::size_t{62},
                                  names + 24, names + 31, names + 32, names + 39}) {
    for (const unsigned char value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[place] = static_cast<char>(value);
      const std::string path = folder.write("libx.so", bytes).string();
      try {
        const std::string stamp = read_stamp(path);  // the byte may have been that one already
        CHECK(stamp == ESPALIER_STAMP);
      } catch (const espalier::Error& error) {
        CHECK(std::string(error.what()).starts_with(path + ": "));
      }
    }
  }
}
