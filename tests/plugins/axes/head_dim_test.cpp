// SPDX-License-Identifier: Apache-2.0
#include "plugins/axes/head_dim.hpp"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "tests/plugins/options.hpp"

using namespace espalier;
using espalier::plugins::HeadDimAxis;

namespace {

using List = std::vector<std::int64_t>;

ModelSpec with_head_dim(std::int64_t head_dim, double partial = 1.0) {
  ModelSpec spec;
  spec.hidden = 6, spec.vocab = 11, spec.rope.partial = partial;
  LayerSpec layer;
  layer.kv_groups = 2, layer.heads_per_group = 3, layer.head_dim = head_dim, layer.ffn = 5;
  spec.layers.assign(2, layer);
  return spec;
}

Scores ones_at(std::int64_t head_dim, const List& channels) {
  at::Tensor scores = at::zeros({head_dim});
  for (const std::int64_t channel : channels) scores[channel] = 1.0;
  return {{scores}};
}

List kept(const ModelSpec& spec, const Scores& scores, std::int64_t keep) {
  return make<HeadDimAxis>().select(spec, scores, keep).kept.at(0);
}

double frequency(const ModelSpec& spec, std::int64_t pair) {
  const double rotary = std::floor(static_cast<double>(spec.layers[0].head_dim) * spec.rope.partial);
  return std::pow(spec.rope.theta, -2.0 * static_cast<double>(pair) / rotary);
}

}  // namespace

TEST_CASE("the kept pairs are every s-th one, with the s that scores best") {
  // 8 pairs: channel i with channel i + 8.
  CHECK(kept(with_head_dim(16), ones_at(16, {0, 1, 2, 3}), 8) == List{0, 1, 2, 3, 8, 9, 10, 11});
  CHECK(kept(with_head_dim(16), ones_at(16, {4, 14}), 8) == List{0, 2, 4, 6, 8, 10, 12, 14});
  CHECK(kept(with_head_dim(16), ones_at(16, {13}), 4) == List{0, 5, 8, 13});
  CHECK(kept(with_head_dim(16), ones_at(16, {15}), 2) == List{0, 8});      // one pair is the first one
  CHECK(kept(with_head_dim(16), ones_at(16, {}), 4) == List{0, 1, 8, 9});  // of equal ones the lower channels
  CHECK(kept(with_head_dim(16), ones_at(16, {}), 16).size() == 16);
}

TEST_CASE("channels that are not rotated are free, and a half-rotated head may lose either kind") {
  // 2 pairs (0, 2) and (1, 3), then 4 channels that pass.
  CHECK(kept(with_head_dim(8, 0.5), ones_at(8, {0, 1, 5, 7}), 6) == List{0, 1, 2, 3, 5, 7});
  CHECK(kept(with_head_dim(8, 0.5), ones_at(8, {4, 5, 6, 7}), 6) == List{0, 2, 4, 5, 6, 7});
  CHECK(kept(with_head_dim(8, 0.5), ones_at(8, {1, 3}), 4) == List{0, 1, 2, 3});
  CHECK(kept(with_head_dim(8, 0.5), ones_at(8, {6}), 2) == List{0, 2});
}

TEST_CASE("the smaller model rotates the kept pairs by their old frequencies") {
  for (const double partial : {1.0, 0.5}) {
    for (const double theta : {1e4, 5e5}) {
      ModelSpec spec = with_head_dim(16, partial);
      spec.rope.theta = theta;
      const auto axis = make<HeadDimAxis>();
      const std::int64_t half = partial == 1.0 ? 8 : 4;
      for (std::int64_t keep = 2; keep < 16; keep += 2) {
        for (std::int64_t unit = 0; unit < 16; ++unit) {
          const Selection selection = axis.select(spec, ones_at(16, {unit}), keep);
          const ModelSpec smaller = axis.shrink(spec, selection);
          CHECK(smaller.layers[1].head_dim == keep);
          const auto rotary = static_cast<std::int64_t>(static_cast<double>(keep) * smaller.rope.partial);
          for (std::int64_t j = 0; j < rotary / 2; ++j) {
            const std::int64_t pair = selection.kept[0][static_cast<std::size_t>(j)];
            CHECK(selection.kept[0][static_cast<std::size_t>(j + rotary / 2)] == pair + half);
            // Two powers in float64.
            CHECK(frequency(smaller, j) == doctest::Approx(frequency(spec, pair)).epsilon(1e-14));
          }
          CHECK(axis.extent(smaller) == keep);
        }
      }
    }
  }
}

TEST_CASE("the share of a head that is rotated gives back the number of channels, also where its double is too small") {
  REQUIRE(static_cast<std::int64_t>(44 * (30.0 / 44)) == 29);
  ModelSpec spec = with_head_dim(60, 0.5);
  List rotated(30);
  for (std::int64_t i = 0; i < 30; ++i) rotated[static_cast<std::size_t>(i)] = i;
  const auto axis = make<HeadDimAxis>();
  for (std::int64_t keep = 30; keep < 60; keep += 2) {
    const ModelSpec smaller = axis.shrink(spec, axis.select(spec, ones_at(60, rotated), keep));
    CHECK(static_cast<std::int64_t>(static_cast<double>(keep) * smaller.rope.partial) == 30);
    CHECK(smaller.rope.theta == spec.rope.theta);
  }
}

TEST_CASE("the weights make up for the scale of attention") {
  const auto axis = make<HeadDimAxis>();
  ModelSpec spec = with_head_dim(16);
  const Selection selection = axis.select(spec, ones_at(16, {}), 4);
  std::vector<Fold> folds = axis.folds(spec, ones_at(16, {}), selection);
  REQUIRE(folds.size() == 8);  // 4 channels in 2 layers
  CHECK(folds[5].layer == 1);
  CHECK(folds[5].unit == 1);
  CHECK(folds[5].from == 1);
  CHECK(folds[5].own == 0.5);
  CHECK(folds[5].other == 0.0);
  CHECK(folds[5].dimension == 0);
  CHECK((folds[5].product == std::vector<Dim>{Dim::kv_groups, Dim::heads_per_group, Dim::head_dim}));
  spec.qk_norm = true;
  folds = axis.folds(spec, ones_at(16, {}), selection);
  REQUIRE(folds.size() == 8);
  CHECK(folds[0].own == doctest::Approx(std::sqrt(0.5)));
  CHECK((folds[0].product == std::vector<Dim>{Dim::head_dim}));
  CHECK(axis.folds(spec, ones_at(16, {}), axis.select(spec, ones_at(16, {}), 16)).empty());
}

TEST_CASE("what the axis cannot cut exactly is refused") {
  const auto axis = make<HeadDimAxis>();
  ModelSpec spec = with_head_dim(16);
  CHECK_THROWS_WITH_AS(axis.select(spec, ones_at(16, {}), 3),
                       "keep of axis 'head_dim' is not possible; got 3; expected a multiple of 2 (nearest: 2 or 4)",
                       RecipeError);
  CHECK_THROWS_WITH_AS(
      axis.shrink(spec, {{{0, 2, 3, 8, 10, 11}}}),
      "selection of axis 'head_dim' is no rotary embedding; got 3 channels of the first 8; expected 0, s, "
      "2s, … and the same ones plus 8",
      Error);
  spec.rope.type = "yarn";
  CHECK_THROWS_WITH_AS(
      axis.extent(spec),
      "axis 'head_dim' does not know how rotary embeddings of this type change; got \"yarn\"; expected "
      "\"default\", \"linear\" or \"llama3\"",
      Error);
  spec = with_head_dim(16);
  spec.layers[1].head_dim = 8;
  CHECK_THROWS_WITH_AS(axis.extent(spec),
                       "axis 'head_dim' makes one choice for all layers; got head_dim 16 and 8; expected equal ones",
                       Error);
  for (LayerSpec& layer : spec.layers) layer.attention = false;
  CHECK_THROWS_WITH_AS(axis.extent(spec), "axis 'head_dim' has nothing to cut; got no attention; expected one or more",
                       Error);
}
