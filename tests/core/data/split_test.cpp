// SPDX-License-Identifier: Apache-2.0
#include "core/data/split.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/token_bytes.hpp"

using espalier::Error;
using espalier::Scratch;
using espalier::Split;
using espalier::split_part;
using espalier::TokenFile;

TEST_CASE("the fraction is a threshold on the identity") {
  CHECK(espalier::is_validation(0, 0.01));
  CHECK_FALSE(espalier::is_validation(~std::uint64_t{0}, 0.999));
  CHECK(espalier::is_validation(std::uint64_t{1} << 63, 0.51));
  CHECK_FALSE(espalier::is_validation(std::uint64_t{1} << 63, 0.5));
}

TEST_CASE("a foreign token file is split by document, each to one side, in about the fraction") {
  const Scratch scratch;
  const std::vector<std::int32_t> lengths(2000, 2);
  std::vector<std::int64_t> documents(2001);
  std::iota(documents.begin(), documents.end(), 0);
  espalier::write_text(scratch / "t.bin", std::string(4000, 'x'));
  espalier::write_text(scratch / "t.idx", espalier::testing::megatron_index(1, 1, lengths, documents));
  const TokenFile file(scratch / "t", "");
  const auto train = split_part(file, "t", Split::train, 0.1), valid = split_part(file, "t", Split::valid, 0.1);
  REQUIRE((train && valid));
  CHECK(train->document_ends().size() + valid->document_ends().size() == 2000);
  CHECK(valid->document_ends().size() > 150);
  CHECK(valid->document_ends().size() < 250);
  for (std::int64_t i = 0; i < 5; ++i) {
    CHECK(espalier::is_validation(valid->record(i).identity, 0.1));
    CHECK_FALSE(espalier::is_validation(train->record(i).identity, 0.1));
  }
}

TEST_CASE("a raw file, being one document, cannot be split") {
  const Scratch scratch;
  espalier::write_text(scratch / "r.bin", "abcdef");
  CHECK_THROWS_WITH_AS(split_part(TokenFile(scratch / "r.bin", "uint8"), "r", Split::valid, 0.5),
                       "r: cannot be split by document; got one document of 6 tokens; expected a .bin with an .idx, "
                       "text, or data for validation of its own",
                       Error);
}
