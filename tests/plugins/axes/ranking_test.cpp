// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/axes/ffn.hpp"
#include "plugins/axes/heads.hpp"
#include "tests/plugins/axes/scored.hpp"
#include "tests/plugins/options.hpp"

using namespace espalier;
using espalier::plugins::FfnAxis;
using espalier::plugins::HeadsAxis;

namespace {

const TestOptions kSum({{"ranking", text("sum")}});
const TestOptions kGlobal({{"ranking", text("global")}, {"unequal", {true}}});

}  // namespace

TEST_CASE("by the sum, all layers keep the same units") {
  const Scores scores = scores_of({{5, 1, 4, 2, 3}, {1, 7, 3, 4, 5}});  // sums 6, 8, 7, 6, 8
  CHECK(make<FfnAxis>(kSum).select(spec_of(2), scores, 3).kept == Lists{{1, 2, 4}, {1, 2, 4}});
  const Scores heads = scores_of({{9, 8, 7, 1, 2, 3}, {0, 0, 3, 0, 0, 0}});
  CHECK(make<HeadsAxis>(kSum).select(spec_of(2), heads, 2).kept == Lists{{2, 5}, {2, 5}});
  ModelSpec spec = spec_of(2);
  spec.layers[1].ffn = 4;
  CHECK_THROWS_WITH_AS(
      make<FfnAxis>(kSum).select(spec, scores_of({{5, 1, 4, 2, 3}, {1, 7, 3, 4}}), 3),
      "ranking \"sum\" of axis 'ffn' makes one choice for all layers; got 5 units in multiples of 1, and 4 "
      "in multiples of 1 in layer 1; expected layers of one size",
      RecipeError);
}

TEST_CASE("across layers the best units are kept wherever they are, and every layer keeps some") {
  const auto axis = make<FfnAxis>(kGlobal);
  const Scores scores = scores_of({{5, 1, 4, 2, 3}, {10, 9, 8, 7, 6}});
  const Selection selection = axis.select(spec_of(2), scores, 3);
  CHECK(selection.kept == Lists{{0}, {0, 1, 2, 3, 4}});
  const ModelSpec smaller = axis.shrink(spec_of(2), selection);
  CHECK(smaller.layers[0].ffn == 1);
  CHECK(smaller.layers[1].ffn == 5);
  CHECK(axis.extent(smaller) == 3);
  CHECK(axis.extent(spec_of(2)) == 5);
  // Ties go to the lower layer.
  CHECK(axis.select(spec_of(2), scores_of({{1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}}), 2).kept == Lists{{0, 1, 2}, {0}});
  CHECK(axis.select(spec_of(2), scores, 5).kept == Lists{{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}});
}

TEST_CASE("across layers, units go in multiples of the granularity, and every layer keeps that many") {
  TestOptions options = kGlobal;
  options.set("granularity", {std::int64_t{2}});
  const auto axis = make<FfnAxis>(options);
  const Scores scores = scores_of({{1, 1, 1, 1, 1}, {9, 9, 9, 9, 9}, {0, 0, 5, 0, 5}});
  CHECK(axis.select(spec_of(3), scores, 2).kept == Lists{{0, 1}, {0, 1}, {2, 4}});
  CHECK(axis.select(spec_of(3), scores, 4).kept == Lists{{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 4}});
}

TEST_CASE("across layers, each layer keeps the same number of query heads in each of its groups") {
  const auto axis = make<HeadsAxis>(kGlobal);
  // Second heads of the groups: 4 + 1 in layer 0, 4 + 4 in layer 1; third ones: 1 + 1 and 3 + 3.
  const Scores scores = scores_of({{9, 4, 1, 9, 1, 1}, {9, 4, 3, 9, 4, 3}});
  const Selection selection = axis.select(spec_of(2), scores, 4);
  CHECK(selection.kept == Lists{{0, 3}, {0, 1, 2, 3, 4, 5}});
  CHECK(axis.shrink(spec_of(2), selection).layers[0].heads_per_group == 1);
  ModelSpec spec = spec_of(2);
  spec.layers[1].kv_groups = 4;
  CHECK_THROWS_WITH_AS(
      axis.select(spec, scores_of({{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}), 4),
      "ranking \"global\" of axis 'heads' compares the same number of units everywhere; got 2 and 4 in "
      "layer 1; expected layers with equal KV groups",
      RecipeError);
}

TEST_CASE("layers of different sizes are asked for twice, as other programs cannot load them") {
  TestOptions options({{"ranking", text("global")}});
  parse_options<FfnAxis::Options>(options);
  REQUIRE(options.problems.size() == 1);
  CHECK(options.problems[0] ==
        "ranking \"global\" leaves layers of different sizes; got unequal = false; expected unequal = true beside it, "
        "if the "
        "student is for this program alone: transformers, vLLM and llama.cpp cannot load it");
}
