// SPDX-License-Identifier: Apache-2.0
#include "core/base/strings.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/base/error.hpp"

namespace {
const std::vector<std::string> kLosses = {"kl", "reverse_kl", "cross_entropy", "jsd"};
}

TEST_CASE("choices are joined as a sentence would") {
  CHECK(espalier::any_of({}).empty());
  CHECK(espalier::any_of({"kl"}) == "'kl'");
  CHECK(espalier::any_of({"kl", "jsd"}) == "'kl' or 'jsd'");
  CHECK(espalier::any_of({"a", "b", "c"}) == "'a', 'b' or 'c'");
  CHECK(espalier::join({"a", "b", "c"}, ", ") == "a, b, c");
  CHECK(espalier::join({}, ", ").empty());
}

TEST_CASE("a misspelt word finds the choice that was meant") {
  CHECK(espalier::nearest("kll", kLosses) == "kl");
  CHECK(espalier::nearest("cros_entropy", kLosses) == "cross_entropy");
  CHECK(espalier::nearest("cross_entrpoy", kLosses) == "cross_entropy");  // two neighbours swapped: one mistake
  CHECK(espalier::nearest("jsd", kLosses) == "jsd");
  CHECK(espalier::did_you_mean("kll", kLosses) == "; did you mean 'kl'?");
}

TEST_CASE("a word that is near to nothing finds nothing") {
  CHECK(espalier::nearest("temperature", kLosses).empty());
  CHECK(espalier::nearest("", kLosses).empty());
  CHECK(espalier::nearest("kl", {}).empty());
  CHECK(espalier::did_you_mean("temperature", kLosses).empty());
}

TEST_CASE("swapped neighbours are one mistake, not two") {
  CHECK(espalier::nearest("lk", {"kl"}) == "kl");
  CHECK(espalier::nearest("xy", {"kl"}).empty());
}

TEST_CASE("numbers get commas") {
  CHECK(espalier::with_commas(0) == "0");
  CHECK(espalier::with_commas(999) == "999");
  CHECK(espalier::with_commas(1000) == "1,000");
  CHECK(espalier::with_commas(8030261248) == "8,030,261,248");
  CHECK(espalier::with_commas(-123456) == "-123,456");
  CHECK(espalier::with_commas(-1234567) == "-1,234,567");
  CHECK(espalier::with_commas(std::numeric_limits<std::int64_t>::min()) == "-9,223,372,036,854,775,808");
}

TEST_CASE("sizes, counts and times are short") {
  CHECK(espalier::human_bytes(0) == "0 B");
  CHECK(espalier::human_bytes(999) == "999 B");
  CHECK(espalier::human_bytes(1500000000) == "1.50 GB");
  CHECK(espalier::human_bytes(16.06e9) == "16.1 GB");
  CHECK(espalier::human_bytes(123e12) == "123 TB");
  CHECK(espalier::human_count(257) == "257");
  CHECK(espalier::human_count(1180000) == "1.18 M");
  CHECK(espalier::human_count(999999) == "1.00 M");
  CHECK(espalier::human_time(4.21) == "4.2 s");
  CHECK(espalier::human_time(185) == "3 min 05 s");
  CHECK(espalier::human_time(3720) == "1 h 02 min");
}

TEST_CASE("no time is printed with sixty seconds or sixty minutes") {
  CHECK(espalier::human_time(59.96) == "1 min 00 s");
  CHECK(espalier::human_time(59.94) == "59.9 s");
  CHECK(espalier::human_time(3599.7) == "1 h 00 min");
}

TEST_CASE("sizes are parsed with decimal and binary units") {
  CHECK(espalier::parse_bytes("1000") == 1000);
  CHECK(espalier::parse_bytes("5GB") == 5'000'000'000);
  CHECK(espalier::parse_bytes("5 GB") == 5'000'000'000);
  CHECK(espalier::parse_bytes("512MiB") == 536'870'912);
  CHECK(espalier::parse_bytes("1.5kB") == 1500);
}

TEST_CASE("what is not a size is refused with the text") {
  for (const std::string text : {"", "GB", "5 parsecs", "-1GB", "0", "1e30GB", "nan", "inf", "5GB!"}) {
    const std::string message =
        "not a size; got '" + text + "'; expected a number with B, kB, MB, GB, KiB, MiB or GiB, such as \"5GB\"";
    CHECK_THROWS_WITH_AS(espalier::parse_bytes(text), message.c_str(), espalier::Error);
  }
}

TEST_CASE("a star stays inside its folder, two cross folders") {
  CHECK(espalier::glob_match("data/*.txt", "data/a.txt"));
  CHECK(espalier::glob_match("data/*.txt", "data/.txt"));
  CHECK_FALSE(espalier::glob_match("data/*.txt", "data/sub/a.txt"));
  CHECK_FALSE(espalier::glob_match("data/*.txt", "data/a.txt.gz"));
  CHECK(espalier::glob_match("data/**/*.txt", "data/a.txt"));
  CHECK(espalier::glob_match("data/**/*.txt", "data/sub/deep/a.txt"));
  CHECK(espalier::glob_match("data/**", "data/sub/deep/a.txt"));
  CHECK_FALSE(espalier::glob_match("data/**/*.txt", "other/a.txt"));
}

TEST_CASE("a question mark is one character, but no slash") {
  CHECK(espalier::glob_match("part-?.bin", "part-7.bin"));
  CHECK_FALSE(espalier::glob_match("part-?.bin", "part-.bin"));
  CHECK_FALSE(espalier::glob_match("a?b", "a/b"));
}

TEST_CASE("braces are alternatives, and may be empty or several") {
  CHECK(espalier::glob_match("**/*.{h,hpp}", "ATen/core/Tensor.h"));
  CHECK(espalier::glob_match("**/*.{h,hpp}", "x.hpp"));
  CHECK_FALSE(espalier::glob_match("**/*.{h,hpp}", "x.cpp"));
  CHECK(espalier::glob_match("{a,b}/{c,d}", "b/c"));
  CHECK(espalier::glob_match("x{,.gz}", "x"));
  CHECK(espalier::glob_match("x{,.gz}", "x.gz"));
  CHECK(espalier::glob_match("a{b", "a{b"));  // unclosed: itself
}
