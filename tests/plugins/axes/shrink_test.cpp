// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "plugins/axes/ffn.hpp"
#include "plugins/axes/heads.hpp"
#include "plugins/axes/hidden.hpp"
#include "plugins/axes/kv_groups.hpp"
#include "plugins/axes/layers.hpp"
#include "tests/plugins/options.hpp"

using espalier::Dim;
using espalier::LayerSpec;
using espalier::make;
using espalier::ModelSpec;
using espalier::Tap;
using espalier::plugins::FfnAxis;
using espalier::plugins::HeadsAxis;
using espalier::plugins::HiddenAxis;
using espalier::plugins::KvGroupsAxis;
using espalier::plugins::LayersAxis;

namespace {

ModelSpec teacher() {
  ModelSpec spec;
  spec.family = "llama", spec.hidden = 6, spec.vocab = 11;
  for (std::int64_t l = 0; l < 3; ++l) {
    LayerSpec layer;
    layer.kv_groups = 2, layer.heads_per_group = 3, layer.head_dim = 4, layer.ffn = 5, layer.sliding_window = l;
    spec.layers.push_back(layer);
  }
  return spec;
}

}  // namespace

TEST_CASE("shrinking changes the one number that the axis is about") {
  const ModelSpec before = teacher();
  ModelSpec hidden = before;
  hidden.hidden = 2;
  CHECK(make<HiddenAxis>().shrink(before, {{{1, 4}}}) == hidden);

  ModelSpec ffn = before, heads = before, groups = before;
  for (std::size_t l = 0; l < 3; ++l)
    ffn.layers[l].ffn = 3, heads.layers[l].heads_per_group = 1, groups.layers[l].kv_groups = 1;
  CHECK(make<FfnAxis>().shrink(before, {{{0, 1, 2}, {0, 2, 4}, {2, 3, 4}}}) == ffn);
  CHECK(make<HeadsAxis>().shrink(before, {{{0, 3}, {1, 5}, {2, 4}}}) == heads);
  CHECK(make<KvGroupsAxis>().shrink(before, {{{0}, {1}, {0}}}) == groups);
}

TEST_CASE("removing layers keeps each remaining layer as it was") {
  const ModelSpec after = make<LayersAxis>().shrink(teacher(), {{{0, 2}}});
  REQUIRE(after.layers.size() == 2);
  CHECK(after.layers[1].sliding_window == 2);
}

TEST_CASE("a damaged selection is refused") {
  CHECK_THROWS_WITH(make<HiddenAxis>().shrink(teacher(), {{{4, 1}}}),
                    "selection of axis 'hidden' is damaged; got unit 1 after 4; expected ascending indices below 6");
  CHECK_THROWS_WITH(make<HiddenAxis>().shrink(teacher(), {{{0, 6}}}),
                    "selection of axis 'hidden' is damaged; got unit 6 after 0; expected ascending indices below 6");
  CHECK_THROWS_WITH(make<LayersAxis>().shrink(teacher(), {{{}}}),
                    "selection of axis 'layers' is damaged; got no units; expected at least 1 of 3");
  CHECK_THROWS_WITH(make<FfnAxis>().shrink(teacher(), {{{0}, {0}}}),
                    "axis 'ffn': wrong number of layers; got 2; expected 3");
  CHECK_THROWS_WITH(
      make<HeadsAxis>().shrink(teacher(), {{{0, 3}, {0, 1}, {0, 3}}}),
      "selection of axis 'heads', layer 1 is uneven; got head 1 as number 1 of 2; expected the same number of "
      "heads in each of 2 groups");
}

TEST_CASE("the axes say what they are in our words, in Hugging Face's and in Megatron's") {
  const espalier::AxisInfo heads = make<HeadsAxis>().describe();
  CHECK((heads.dims == std::vector<Dim>{Dim::kv_groups, Dim::heads_per_group}));
  CHECK((heads.taps == std::vector<Tap>{Tap::o_proj_input}));
  CHECK_FALSE(heads.shared);
  CHECK((make<FfnAxis>().describe().taps == std::vector<Tap>{Tap::fc2_input, Tap::pre_activation, Tap::up_output}));
  CHECK(make<FfnAxis>().describe().hugging_face_name == "intermediate_size");
  CHECK(make<KvGroupsAxis>().describe().megatron_name == "num_query_groups");
  CHECK(make<HiddenAxis>().describe().shared);
  CHECK(make<LayersAxis>().describe().taps.empty());
  CHECK(make<LayersAxis>().describe().hugging_face_name == "num_hidden_layers");
}

TEST_CASE("extents are counted as config.json counts them") {
  CHECK(make<HeadsAxis>().extent(teacher()) == 6);
  CHECK(make<KvGroupsAxis>().extent(teacher()) == 2);
  CHECK(make<LayersAxis>().extent(teacher()) == 3);
  CHECK(make<HiddenAxis>().extent(teacher()) == 6);
}
