// SPDX-License-Identifier: Apache-2.0
// Axes of layers: parts of layers, and scores of runs.
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/axes/depth.hpp"
#include "plugins/axes/layers.hpp"
#include "tests/plugins/axes/scored.hpp"
#include "tests/plugins/options.hpp"

using espalier::AxisInfo;
using espalier::LayerSpec;
using espalier::Lists;
using espalier::make;
using espalier::ModelSpec;
using espalier::Part;
using espalier::Scores;
using espalier::scores_of;
using espalier::TestOptions;
using espalier::Value;
using espalier::plugins::AttentionBlocksAxis;
using espalier::plugins::BlocksOptions;
using espalier::plugins::LayersAxis;
using espalier::plugins::MlpBlocksAxis;

namespace {

const TestOptions kUnequal = {{"unequal", Value{true}}};
const TestOptions kContiguous = {{"contiguous", Value{true}}};

// Attention in layers 0, 2, 3 and 5, an MLP in 0, 1, 2 and 4.
ModelSpec uneven() {
  ModelSpec spec;
  spec.hidden = 6, spec.vocab = 11;
  LayerSpec layer;
  layer.kv_groups = 2, layer.heads_per_group = 3, layer.head_dim = 4, layer.ffn = 5;
  spec.layers.assign(6, layer);
  for (const std::size_t l : {1, 4}) spec.layers[l].attention = false;
  for (const std::size_t l : {3, 5}) spec.layers[l].mlp = false;
  return spec;
}

}  // namespace

TEST_CASE("the units of an axis of blocks are the layers that have the block") {
  const auto attention = make<AttentionBlocksAxis>(kUnequal);
  const auto mlp = make<MlpBlocksAxis>(kUnequal);
  CHECK(attention.extent(uneven()) == 4);
  CHECK(mlp.extent(uneven()) == 4);
  CHECK(make<LayersAxis>().extent(uneven()) == 6);
  const AxisInfo info = attention.describe();
  CHECK((info.dims == std::vector<espalier::Dim>{espalier::Dim::layers}));
  CHECK((info.part == Part::attention));
  CHECK(info.shared);
  CHECK_FALSE(info.one_run);
  CHECK((mlp.describe().part == Part::mlp));
}

TEST_CASE("a dropped block leaves its layer, its sizes and the other block") {
  const auto attention = make<AttentionBlocksAxis>(kUnequal);
  const auto kept = attention.select(uneven(), scores_of({{3, 1, 4, 2}}), 2);
  CHECK(kept.kept == Lists{{0, 2}});  // the attentions of layers 0 and 3
  ModelSpec expected = uneven();
  expected.layers[2].attention = expected.layers[5].attention = false;
  CHECK(attention.shrink(uneven(), kept) == expected);
  CHECK(attention.extent(expected) == 2);

  const auto mlp = make<MlpBlocksAxis>(kUnequal);
  ModelSpec without = expected;
  without.layers[1].mlp = without.layers[2].mlp = without.layers[4].mlp = false;
  CHECK(mlp.shrink(expected, {{{0}}}) == without);
}

TEST_CASE("blocks go only when the recipe says that layers may differ, and it is told who can load them") {
  TestOptions options;
  espalier::parse_options<BlocksOptions>(options);
  CHECK(options.problems ==
        std::vector<std::string>{"unequal is not set; got false; expected unequal = true: layers that lack a block are "
                                 "loaded by espalier itself, not by transformers, vLLM or llama.cpp"});
  TestOptions given = kUnequal;
  espalier::parse_options<BlocksOptions>(given);
  CHECK(given.problems.empty());
}

TEST_CASE("a run goes by the score that it has as a whole, of equal ones the last") {
  const auto layers = make<LayersAxis>(kContiguous);
  CHECK(layers.describe().one_run);
  CHECK_FALSE(make<LayersAxis>().describe().one_run);
  // Three of six layers go: four runs, not the three lowest single layers and not a sum of anything.
  CHECK(layers.select(uneven(), scores_of({{2, 7, 1, 7}}), 3).kept == Lists{{0, 1, 5}});
  CHECK(layers.select(uneven(), scores_of({{1, 7, 2, 7}}), 3).kept == Lists{{3, 4, 5}});
  CHECK(layers.select(uneven(), scores_of({{2, 1, 7, 1}}), 3).kept == Lists{{0, 1, 2}});
  // One layer: its run is the layer itself.
  CHECK(layers.select(uneven(), scores_of({{2, 7, 1, 7, 9, 3}}), 5).kept == Lists{{0, 1, 3, 4, 5}});
  CHECK(layers.select(uneven(), scores_of({{2, 7, 1, 7, 9, 3}}), 6).kept == Lists{{0, 1, 2, 3, 4, 5}});
}

TEST_CASE("scores that are neither of units nor of runs of that length are refused") {
  CHECK_THROWS_WITH(make<LayersAxis>(kContiguous).select(uneven(), scores_of({{2, 7, 1, 7}}), 4),
                    "scores of axis 'layers' have the wrong shape; got [4]; expected [6]");
  CHECK_THROWS_WITH(make<LayersAxis>().select(uneven(), scores_of({{2, 7, 1, 7}}), 3),
                    "scores of axis 'layers' have the wrong shape; got [4]; expected [6]");
  CHECK_THROWS_WITH(make<AttentionBlocksAxis>(kUnequal).select(uneven(), scores_of({{2, 7, 1, 7, 1, 2}}), 3),
                    "scores of axis 'attention_blocks' have the wrong shape; got [6]; expected [4]");
}

TEST_CASE("a model without the block, a keep that is not there and a damaged selection are refused") {
  ModelSpec spec = uneven();
  for (LayerSpec& layer : spec.layers) layer.attention = false;
  const auto axis = make<AttentionBlocksAxis>(kUnequal);
  CHECK_THROWS_WITH_AS(axis.extent(spec),
                       "axis 'attention_blocks' has nothing to cut; got a model in which no layer has that block",
                       espalier::RecipeError);
  CHECK_THROWS_WITH(axis.select(uneven(), scores_of({{2, 7, 1, 7}}), 5),
                    "keep of axis 'attention_blocks' is not possible; got 5; expected a number from 1 to 4");
  CHECK_THROWS_WITH(axis.shrink(uneven(), {{{1, 4}}}),
                    "selection of axis 'attention_blocks' is damaged; got unit 4 after 1; expected ascending indices "
                    "below 4");
}
