// SPDX-License-Identifier: Apache-2.0
#include "core/importance/calibration.hpp"

#include <set>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/core/importance/tiny.hpp"

using espalier::Calibration;
using espalier::Scratch;
using espalier::TokenSource;
using espalier::testing::random_tokens;

TEST_CASE("samples are whole windows of all sources, drawn by the seed, each at most once") {
  const Scratch scratch;
  const std::vector<TokenSource> sources = {random_tokens(scratch, "a", 83, 65536, 1),
                                            random_tokens(scratch, "b", 45, 65536, 2)};
  std::set<std::int64_t> expected;  // the first token names the window: 65536 possible, 12 windows
  for (const TokenSource& source : sources) {
    for (std::int64_t at = 0; at + 10 <= source.tokens.size(); at += 10) {
      std::int64_t token = 0;
      source.tokens.read(at, at + 1, &token);
      expected.insert(token);
    }
  }
  REQUIRE(expected.size() == 12);
  const Calibration all(sources, 10, 12, 7, 65536);
  std::set<std::int64_t> drawn;
  for (std::int64_t i = 0; i < 12; ++i) drawn.insert(all.tokens(i, 1)[0][0].item<std::int64_t>());
  CHECK(drawn == expected);

  const Calibration few(sources, 10, 5, 7, 65536), other(sources, 10, 12, 8, 65536);
  CHECK(at::equal(few.tokens(0, 5), all.tokens(0, 5)));
  CHECK_FALSE(at::equal(other.tokens(0, 12), all.tokens(0, 12)));
}

TEST_CASE("asking for more samples than there are windows names both numbers") {
  const Scratch scratch;
  CHECK_THROWS_WITH_AS(Calibration({random_tokens(scratch, "a", 35, 31, 1)}, 10, 4, 7, 31),
                       "calibration data: not enough for the samples asked for; got 3 windows of 10 tokens; expected "
                       "at least 4 (score.samples)",
                       espalier::Error);
  CHECK_THROWS_WITH_AS(Calibration({}, 10, 4, 7, 31),
                       "calibration data: not enough for the samples asked for; got 0 windows of 10 tokens; expected "
                       "at least 4 (score.samples)",
                       espalier::Error);
}

TEST_CASE("a token beyond the vocabulary is refused before anything runs") {
  const Scratch scratch;
  espalier::write_text(scratch / "a.bin", std::string("\1\0\2\0\37\0\3\0", 8));
  const TokenSource source{"a", std::nullopt, espalier::TokenFile(scratch / "a.bin", "uint16")};
  CHECK_THROWS_WITH_AS(Calibration({source}, 4, 1, 7, 31),
                       "a: token beyond the model's vocabulary; got 31; expected less than 31", espalier::Error);
  CHECK(Calibration({source}, 4, 1, 7, 32).size() == 1);
}
