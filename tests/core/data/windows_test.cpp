// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/data/tokens.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/token_bytes.hpp"

using espalier::Scratch;
using espalier::TokenFile;
using espalier::Windows;

TEST_CASE("windows do not overlap, and only whole ones count") {
  const Scratch scratch;
  espalier::testing::write_pair(scratch / "p");
  const Windows windows({"p", std::nullopt, TokenFile(scratch / "p", "")}, 3);
  CHECK(windows.size() == 3);
  CHECK(at::equal(windows.tokens(1, 2), at::tensor({20, 21, 30, 40, 41, 42}, at::kLong).view({2, 3})));
  CHECK_FALSE(windows.mask(0, 3).defined());
  CHECK(windows.source().name == "p");
}

TEST_CASE("every predicted token knows its document") {
  const Scratch scratch;
  espalier::testing::write_pair(scratch / "p");  // documents of 3, 3 and 4 tokens
  const TokenFile file(scratch / "p", "");
  const Windows five({"p", std::nullopt, file}, 5);
  CHECK(at::equal(five.documents(0, 2), at::tensor({0, 0, 1, 1, 2, 2, 2, 2}, at::kLong).view({2, 4})));
  CHECK(at::equal(five.documents(1, 1), five.documents(0, 2).slice(0, 1, 2)));
  const Windows part({"p", std::nullopt, file.select({0, 2})}, 7);
  CHECK(at::equal(part.documents(0, 1), at::tensor({0, 0, 1, 1, 1, 1}, at::kLong).view({1, 6})));
}

TEST_CASE("the loss mask comes as booleans") {
  const Scratch scratch;
  espalier::testing::write_pair(scratch / "p");
  espalier::write_text(scratch / "p.mask", std::string("\0\1\1\1\0\0\1\1\1\1", 10));
  const Windows windows({"p", std::nullopt, TokenFile(scratch / "p", "")}, 4);
  const at::Tensor mask = windows.mask(0, 2);
  CHECK((mask.scalar_type() == at::kBool));
  CHECK(at::equal(mask.to(at::kLong), at::tensor({0, 1, 1, 1, 0, 0, 1, 1}, at::kLong).view({2, 4})));
}

TEST_CASE("data shorter than a window is refused") {
  const Scratch scratch;
  espalier::testing::write_pair(scratch / "p");
  const espalier::TokenSource source{"p", std::nullopt, TokenFile(scratch / "p", "")};
  CHECK_THROWS_WITH_AS(Windows(source, 11),
                       "p: shorter than one window; got 10 tokens; expected at least 11 (seq_length)", espalier::Error);
  CHECK_THROWS_WITH_AS(Windows(source, 1), "seq_length is out of range; got 1; expected 2 or more",
                       espalier::RecipeError);
}
