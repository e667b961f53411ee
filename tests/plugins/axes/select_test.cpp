// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/axes/ffn.hpp"
#include "plugins/axes/heads.hpp"
#include "plugins/axes/hidden.hpp"
#include "plugins/axes/kv_groups.hpp"
#include "plugins/axes/layers.hpp"
#include "tests/plugins/axes/scored.hpp"
#include "tests/plugins/options.hpp"

using espalier::LayerSpec;
using espalier::Lists;
using espalier::make;
using espalier::ModelSpec;
using espalier::Scores;
using espalier::scores_of;
using espalier::spec_of;
using espalier::Value;
using espalier::plugins::FfnAxis;
using espalier::plugins::HeadsAxis;
using espalier::plugins::HiddenAxis;
using espalier::plugins::KvGroupsAxis;
using espalier::plugins::LayersAxis;

TEST_CASE("the largest scores are kept, in ascending order of their indices") {
  CHECK(make<HiddenAxis>().select(spec_of(2), scores_of({{1, 6, 2, 5, 3, 4}}), 3).kept == Lists{{1, 3, 5}});
  CHECK(make<FfnAxis>().select(spec_of(2), scores_of({{5, 1, 4, 2, 3}, {1, 2, 3, 4, 5}}), 2).kept ==
        Lists{{0, 2}, {3, 4}});
  CHECK(make<KvGroupsAxis>().select(spec_of(2), scores_of({{1, 2}, {2, 1}}), 1).kept == Lists{{1}, {0}});
}

TEST_CASE("of equal scores the lower index is kept") {
  CHECK(make<HiddenAxis>().select(spec_of(1), scores_of({{2, 2, 2, 2, 2, 2}}), 4).kept == Lists{{0, 1, 2, 3}});
  CHECK(make<LayersAxis>().select(spec_of(4), scores_of({{1, 3, 1, 1}}), 2).kept == Lists{{0, 1}});
  CHECK(make<HiddenAxis>().select(spec_of(1), scores_of({{0.0f, -0.0f, 0, 0, 0, 1}}), 2).kept == Lists{{0, 5}});
}

TEST_CASE("keeping everything keeps everything") {
  CHECK(make<HeadsAxis>().select(spec_of(1), scores_of({{6, 5, 4, 3, 2, 1}}), 6).kept == Lists{{0, 1, 2, 3, 4, 5}});
  CHECK(make<LayersAxis>({{"contiguous", {true}}}).select(spec_of(3), scores_of({{3, 2, 1}}), 3).kept ==
        Lists{{0, 1, 2}});
}

TEST_CASE("query heads are ranked inside their group and the same number is kept in each") {
  // The three best heads all sit in group 0; still two of each group stay.
  CHECK(make<HeadsAxis>().select(spec_of(1), scores_of({{9, 8, 7, 1, 3, 2}}), 4).kept == Lists{{0, 1, 4, 5}});
  CHECK(make<HeadsAxis>().select(spec_of(1), scores_of({{1, 1, 1, 1, 1, 1}}), 2).kept == Lists{{0, 3}});
}

TEST_CASE("query heads that cannot be the same number in each group of every layer are refused") {
  ModelSpec spec = spec_of(2);
  spec.layers[1].kv_groups = 4;
  CHECK_THROWS_WITH_AS(
      make<HeadsAxis>().select(spec, scores_of({{6, 5, 4, 3, 2, 1}, {12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}}), 6),
      "keep of axis 'heads' does not divide over the KV groups of every layer; got 6; expected a multiple of 4",
      espalier::RecipeError);
}

TEST_CASE("steps: the granularity, for heads together with the KV groups") {
  const Value four{std::int64_t{4}}, three{std::int64_t{3}};
  CHECK(make<HiddenAxis>({{"granularity", four}}).step(spec_of(1)) == 4);
  CHECK(make<HeadsAxis>().step(spec_of(1)) == 2);
  CHECK(make<HeadsAxis>({{"granularity", four}}).step(spec_of(1)) == 4);
  CHECK(make<HeadsAxis>({{"granularity", three}}).step(spec_of(1)) == 6);
  ModelSpec mixed = spec_of(2);
  mixed.layers[1].kv_groups = 3;
  CHECK(make<HeadsAxis>().step(mixed) == 6);
}

TEST_CASE("without contiguous, single layers go; with it, the run whose sum is smallest") {
  const Scores scores = scores_of({{9, 1, 6, 2, 3, 9}});
  CHECK(make<LayersAxis>().select(spec_of(6), scores, 4).kept == Lists{{0, 2, 4, 5}});
  CHECK(make<LayersAxis>({{"contiguous", {true}}}).select(spec_of(6), scores, 4).kept == Lists{{0, 1, 2, 5}});
}

TEST_CASE("of equal runs the last one is removed, so that ties keep the lower index") {
  const Scores scores = scores_of({{5, 1, 2, 5, 2, 1, 5}});
  CHECK(make<LayersAxis>({{"contiguous", {true}}}).select(spec_of(7), scores, 5).kept == Lists{{0, 1, 2, 3, 6}});
}

TEST_CASE("a layer without an MLP or without attention keeps no units of it") {
  ModelSpec spec = spec_of(2);
  spec.layers[0].mlp = false, spec.layers[0].ffn = 0;
  CHECK(make<FfnAxis>().extent(spec) == 5);
  CHECK(make<FfnAxis>().select(spec, scores_of({{}, {1, 2, 3, 4, 5}}), 2).kept == Lists{{}, {3, 4}});
}

TEST_CASE("a keep that the axis cannot give is refused with the nearest ones") {
  const HeadsAxis heads = make<HeadsAxis>();
  const Scores scores = scores_of({{1, 2, 3, 4, 5, 6}});
  CHECK_THROWS_WITH_AS(heads.select(spec_of(1), scores, 3),
                       "keep of axis 'heads' is not possible; got 3; expected a multiple of 2 (nearest: 2 or 4)",
                       espalier::RecipeError);
  CHECK_THROWS_WITH(heads.select(spec_of(1), scores, 1),
                    "keep of axis 'heads' is not possible; got 1; expected a multiple of 2 (nearest: 2)");
  CHECK_THROWS_WITH(
      heads.select(spec_of(1), scores, 8),
      "keep of axis 'heads' is not possible; got 8; expected a number from 2 to 6 that is a multiple of 2");
  CHECK_THROWS_WITH(make<HiddenAxis>().select(spec_of(1), scores, 0),
                    "keep of axis 'hidden' is not possible; got 0; expected a number from 1 to 6");
}

TEST_CASE("damaged scores are refused") {
  const FfnAxis ffn = make<FfnAxis>();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(ffn.select(spec_of(2), scores_of({{1, 2, 3, 4, 5}, {1, nan, 3, 4, 5}}), 2),
                       "scores of axis 'ffn', layer 1 are damaged; got nan for unit 1; expected a finite number",
                       espalier::Error);
  CHECK_THROWS_WITH(ffn.select(spec_of(1), scores_of({{1, 2, 3}}), 2),
                    "scores of axis 'ffn', layer 0 have the wrong shape; got [3]; expected [5]");
  CHECK_THROWS_WITH(ffn.select(spec_of(2), scores_of({{1, 2, 3, 4, 5}}), 2),
                    "axis 'ffn': wrong number of layers; got 1; expected 2");
  CHECK_THROWS_WITH(ffn.select(spec_of(1), Scores{{at::Tensor()}}, 2),
                    "scores of axis 'ffn', layer 0 have the wrong shape; got none; expected [5]");
}

TEST_CASE("a granularity outside its range is a problem of the recipe") {
  espalier::TestOptions options{{"granularity", {std::int64_t{0}}}};
  espalier::parse_options<HiddenAxis::Options>(options);
  REQUIRE(options.problems.size() == 1);
  CHECK(options.problems[0] == "granularity is out of range; got 0; expected an integer from 1 to 1048576");
}
