// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/equal.h>
#include <doctest/doctest.h>

#include <map>
#include <numeric>
#include <set>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/data/tokens.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/data/token_bytes.hpp"

using espalier::Error;
using espalier::RecipeError;
using espalier::Scratch;
using espalier::TokenFile;
using espalier::TokenSource;
using espalier::TrainingStream;
using espalier::write_text;
using espalier::testing::little_endian;

namespace {

// Tokens first, first + 1, … so that every window says where it comes from.
TokenSource counting(const Scratch& scratch, const std::string& name, std::int32_t first, std::int64_t size,
                     std::optional<double> weight = std::nullopt) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(size));
  std::iota(tokens.begin(), tokens.end(), first);
  write_text(scratch / (name + ".bin"), little_endian(tokens));
  return {name, weight, TokenFile(scratch / (name + ".bin"), "int32")};
}

}  // namespace

TEST_CASE("a row holds a window and its labels the next tokens") {
  const Scratch scratch;
  const TrainingStream stream({counting(scratch, "a", 100, 41)}, 8, 1);
  CHECK(stream.windows() == 5);
  CHECK(stream.max_token() == 140);
  const TrainingStream::Batch batch = stream.batch(0, 5);
  CHECK(batch.tokens.sizes() == at::IntArrayRef({5, 8}));
  CHECK(at::equal(batch.labels, batch.tokens.add(1)));
  for (std::int64_t row = 0; row < 5; ++row) {
    CHECK(batch.tokens[row][0].item<std::int64_t>() == 100 + 8 * stream.place(row).window);
    CHECK(batch.tokens[row][7].item<std::int64_t>() == 107 + 8 * stream.place(row).window);
  }
}

TEST_CASE("a sequence depends on seed and position only, so training resumes anywhere") {
  const Scratch scratch;
  const std::vector<TokenSource> sources = {counting(scratch, "a", 0, 500), counting(scratch, "b", 1000, 300)};
  const TrainingStream stream(sources, 16, 7), again(sources, 16, 7), other(sources, 16, 8);
  const TrainingStream::Batch whole = stream.batch(0, 200);
  for (std::int64_t i = 199; i >= 0; i -= 13) {
    const TrainingStream::Batch one = again.batch(i, 1);
    CHECK(at::equal(one.tokens[0], whole.tokens[i]));
    CHECK(at::equal(one.labels[0], whole.labels[i]));
  }
  CHECK(at::equal(again.batch(37, 50).tokens, whole.tokens.slice(0, 37, 87)));
  CHECK_FALSE(at::equal(other.batch(0, 200).tokens, whole.tokens));
}

TEST_CASE("every epoch gives each window once, in a new order") {
  const Scratch scratch;
  const TrainingStream stream({counting(scratch, "a", 0, 100 * 4 + 1)}, 4, 3);
  REQUIRE(stream.windows() == 100);
  std::vector<std::vector<std::int64_t>> orders;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::int64_t> order;
    for (std::int64_t i = 0; i < 100; ++i) order.push_back(stream.place(epoch * 100 + i).window);
    CHECK(std::set<std::int64_t>(order.begin(), order.end()).size() == 100);
    orders.push_back(order);
  }
  CHECK(orders[0] != orders[1]);
  CHECK(orders[1] != orders[2]);
}

TEST_CASE("without weights, sources mix in proportion to size and an epoch covers all of them once") {
  const Scratch scratch;
  const TrainingStream stream({counting(scratch, "a", 0, 90 * 4 + 2), counting(scratch, "b", 1000, 30 * 4 + 3),
                               counting(scratch, "c", 2000, 7 * 4 + 1)},
                              4, 5);
  REQUIRE(stream.windows() == 127);
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<std::pair<std::size_t, std::int64_t>> places;
    for (std::int64_t i = 0; i < 127; ++i) {
      const TrainingStream::Place place = stream.place(epoch * 127 + i);
      places.insert({place.source, place.window});
    }
    CHECK(places.size() == 127);
  }
}

TEST_CASE("weights decide the mix, whatever the sizes; each source has epochs of its own") {
  const Scratch scratch;
  const TrainingStream stream(
      {counting(scratch, "a", 0, 10 * 4 + 1, 3.0), counting(scratch, "b", 1000, 1000 * 4 + 1, 1.0)}, 4, 5);
  std::map<std::pair<std::size_t, std::int64_t>, int> drawn;
  int first = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    const TrainingStream::Place place = stream.place(i);
    ++drawn[{place.source, place.window}];
    first += place.source == 0 ? 1 : 0;
  }
  CHECK(first == 300);
  for (const auto& [place, times] : drawn) CHECK(times == (place.first == 0 ? 30 : 1));
}

TEST_CASE("what the loss mask leaves out is labelled -100") {
  const Scratch scratch;
  write_text(scratch / "m.bin", little_endian<std::uint16_t>({1, 2, 3, 4, 5}));
  write_text(scratch / "m.mask", std::string("\1\0\1\0\1", 5));
  const TrainingStream stream({{"m", std::nullopt, TokenFile(scratch / "m.bin", "uint16")}}, 4, 0);
  const at::Tensor labels = stream.batch(0, 1).labels;
  const std::vector<std::int64_t> expected = {-100, 3, -100, 5};
  for (std::int64_t i = 0; i < 4; ++i)
    CHECK(labels[0][i].item<std::int64_t>() == expected[static_cast<std::size_t>(i)]);
}

TEST_CASE("a source shorter than a window, half-given weights and bad lengths are refused") {
  const Scratch scratch;
  const TokenSource small = counting(scratch, "small", 0, 8), large = counting(scratch, "large", 0, 100, 2.0);
  CHECK_THROWS_WITH_AS(TrainingStream({large, small}, 8, 0),
                       "small: shorter than one training window; got 8 tokens; expected at least 9 (seq_length 8 and "
                       "the label of its last token)",
                       Error);
  CHECK_THROWS_WITH_AS(TrainingStream({large, small}, 4, 0),
                       "small: no weight; got one for 1 of 2 sources; expected weights for all of them or for none",
                       RecipeError);
  CHECK_THROWS_WITH_AS(TrainingStream({large}, 0, 0), "seq_length is out of range; got 0; expected 1 or more",
                       RecipeError);
  CHECK_THROWS_WITH_AS(TrainingStream({}, 4, 0),
                       "no training data; got an empty list of sources; expected at least one", RecipeError);
  TokenSource none = large;
  none.weight = 0.0;
  CHECK_THROWS_WITH_AS(TrainingStream({none}, 4, 0), "large: weight is not usable; got 0; expected a number above 0",
                       RecipeError);
}
