// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "tests/core/base/scratch.hpp"

using espalier::Digest;

TEST_CASE("the bytes of a file and the same bytes in memory have the published SHA-256") {
  const espalier::Scratch scratch;
  espalier::write_text(scratch / "abc", "abc");
  const std::string published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(Digest().add("abc", 3).hex() == published);
  CHECK(espalier::digest_of_file(scratch / "abc") == published);
}

TEST_CASE("an empty file has the published SHA-256 of nothing") {
  const espalier::Scratch scratch;
  espalier::write_text(scratch / "empty", "");
  CHECK(espalier::digest_of_file(scratch / "empty") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("texts are added with their lengths, so that their border counts") {
  using std::string_view_literals::operator""sv;
  CHECK(Digest().add("ab"sv).add("c"sv).hex() != Digest().add("a"sv).add("bc"sv).hex());
  CHECK(Digest().add(""sv).add("x"sv).hex() != Digest().add("x"sv).add(""sv).hex());
  CHECK(espalier::digest_of("ab") == Digest().add("ab"sv).hex());
}

TEST_CASE("the digest of a file that is not there names it") {
  const espalier::Scratch scratch;
  const std::string path = (scratch / "absent").string();
  CHECK_THROWS_WITH_AS(espalier::digest_of_file(path), (path + ": cannot read; got No such file or directory").c_str(),
                       espalier::Error);
}
