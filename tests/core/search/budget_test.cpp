// SPDX-License-Identifier: Apache-2.0
#include "core/search/budget.hpp"

#include "tests/core/search/searched.hpp"

namespace {

using namespace espalier;
using espalier::test::Searched;
using espalier::test::small_llama;

const std::vector<std::string> kLayers = {"axis = \"layers\""};

std::vector<Bound> bounds(const std::string& budget, const CountBasis& basis) {
  const Searched searched(kLayers, "axes = [ { axis = \"layers\", keep = [4] } ]\nbudget = [ " + budget + " ]\n");
  return bounds_of(*searched.recipe.search, basis);
}

std::int64_t value(const std::string& by, const CountBasis& basis) {
  return measure(bounds("{ by = \"" + by + "\", at_most = 1 }", basis).front(), small_llama());
}

}  // namespace

// One layer: q and o 32·32, k and v 32·16 each, three MLP matrices 32·48, two norms of 32.
//   2·1024 + 2·512 + 3·1536 + 64 = 7,744.     4 layers 30,976; final norm 32; embedding and head 3,200 each.
TEST_CASE("each number of a budget is what a hand computes for a small model") {
  CHECK(value("parameters", {2, 64}) == 30'976 + 32 + 6'400);
  CHECK(value("non_embedding_parameters", {2, 64}) == 31'008);
  // Keys and values: 2 · 2 groups · 8 channels in 4 layers = 128 numbers.
  CHECK(value("kv_bytes_per_token", {2, 64}) == 256);
  CHECK(value("kv_bytes_per_token", {4, 64}) == 512);
  // Matrices 4 · 7,680 and the head 3,200, twice; attention 4 · 32 channels · 32 keys on average in 4 layers.
  CHECK(value("flops_per_token", {2, 64}) == 2 * (4 * 7'680 + 3'200) + 4 * 4 * 32 * 32);
  // 37,408 weights of 2 bytes, and 1 sequence of 64 tokens of 256 bytes.
  CHECK(value("memory", {2, 64}) == 74'816 + 64 * 256);
}

TEST_CASE("memory counts batch, sequence and dtype of its own") {
  const Bound bound =
      bounds("{ by = \"memory\", at_most = \"1MB\", batch = 3, sequence = 100, dtype = \"float32\" }", {2, 64}).front();
  CHECK(measure(bound, small_llama()) == 4 * 37'408 + 3 * 100 * 512);
  CHECK(bound.high == 1e6);
}

TEST_CASE("a target means target and tolerance, ends included; without it the bounds are as written") {
  const Bound target = bounds("{ by = \"parameters\", target = 1000, tolerance = 0.1 }", {2, 64}).front();
  CHECK(excess(target, 900) == 0.0);
  CHECK(excess(target, 1100) == 0.0);
  CHECK(excess(target, 899) == doctest::Approx(1.0 / 900).epsilon(1e-9));
  CHECK(excess(target, 1155) == doctest::Approx(0.05).epsilon(1e-9));
  CHECK(describe(target) == "parameters from 900 to 1,100");
  const Bound usual = bounds("{ by = \"parameters\", target = 1000 }", {2, 64}).front();
  CHECK(describe(usual) == "parameters from 950 to 1,050");
  const Bound most = bounds("{ by = \"flops_per_token\", at_most = 5e3 }", {2, 64}).front();
  CHECK(excess(most, 5000) == 0.0);
  CHECK(excess(most, 5001) > 0.0);
  CHECK(describe(most) == "flops_per_token of at most 5,000");
  CHECK(describe(bounds("{ by = \"memory\", at_least = 7 }", {2, 64}).front()) == "memory of at least 7");
}

TEST_CASE("all budgets must hold") {
  const auto sizes = [](const std::string& budget) {
    const Searched searched(kLayers,
                            "axes = [ { axis = \"layers\", from = 1, to = 4 } ]\nbudget = [ " + budget + " ]\n");
    std::vector<std::int64_t> keep;
    for (const Candidate& candidate : searched.candidates(small_llama(), {2, 64}).list)
      keep.push_back(candidate.keep[0]);
    return keep;
  };
  // Parameters 6,432 + 7,744 a layer: 14,176, 21,920, 29,664, 37,408. Keys and values 64 bytes a layer.
  CHECK(sizes("{ by = \"parameters\", at_most = 29664 }") == std::vector<std::int64_t>{3, 2, 1});
  CHECK(sizes("{ by = \"parameters\", at_most = 29664 }, { by = \"kv_bytes_per_token\", at_least = 128 }") ==
        std::vector<std::int64_t>{3, 2});
  CHECK(sizes("{ by = \"parameters\", at_least = 21920 }, { by = \"kv_bytes_per_token\", at_most = 128 }") ==
        std::vector<std::int64_t>{2});
}
