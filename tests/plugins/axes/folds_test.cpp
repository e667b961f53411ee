// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "plugins/axes/heads.hpp"
#include "tests/plugins/axes/scored.hpp"
#include "tests/plugins/options.hpp"

using namespace espalier;
using espalier::plugins::HeadsAxis;

namespace {

ModelSpec one_layer(std::int64_t groups, std::int64_t per_group) {
  ModelSpec spec;
  spec.hidden = 6, spec.vocab = 11;
  LayerSpec layer;
  layer.kv_groups = groups, layer.heads_per_group = per_group, layer.head_dim = 4, layer.ffn = 5;
  spec.layers.assign(1, layer);
  return spec;
}

// "2 := 2·2 - 1·4" in the order of the folds.
std::string told(const std::vector<Fold>& folds) {
  std::string text;
  for (const Fold& fold : folds) {
    text += concat(text.empty() ? "" : ", ", fold.unit, " := ", fold.own, "·", fold.unit, " + ", fold.other, "·",
                   fold.from);
  }
  return text;
}

std::vector<Fold> residual(const ModelSpec& spec, const Scores& scores, std::int64_t keep, const char* sign,
                           const char* tensors) {
  const auto axis = make<HeadsAxis>({{"residual", text(sign)}, {"residual_tensors", text(tensors)}});
  return axis.folds(spec, scores, axis.select(spec, scores, keep));
}

}  // namespace

TEST_CASE("the residual pairs the weakest kept head with the best pruned one, and so on outwards") {
  // By importance: 0, 2, 4 | 3, 1. With n = 5 and k = 3, i runs from 2 to 3: head i gets head 2k-i+1, the 5th and 4th.
  const Scores scores = scores_of({{9, 1, 8, 2, 7}});
  CHECK(told(residual(one_layer(1, 5), scores, 3, "kept_minus_pruned", "q_proj")) ==
        "2 := 2·2 + -1·1, 4 := 2·4 + -1·3");
  CHECK(told(residual(one_layer(1, 5), scores, 3, "pruned_minus_kept", "q_proj")) == "2 := 0·2 + 1·1, 4 := 0·4 + 1·3");
}

TEST_CASE("pairs are made inside each KV group") {
  const Scores scores = scores_of({{9, 8, 1, 2, 4, 3}});
  CHECK(told(residual(one_layer(2, 3), scores, 4, "kept_minus_pruned", "o_proj")) ==
        "1 := 2·1 + -1·2, 5 := 2·5 + -1·3");
}

TEST_CASE("the residual goes into the rows of q_proj, the columns of o_proj, or both") {
  const Scores scores = scores_of({{2, 1}});
  const auto dimensions = [&](const char* tensors) {
    std::vector<int> list;
    for (const Fold& fold : residual(one_layer(1, 2), scores, 1, "kept_minus_pruned", tensors)) {
      CHECK((fold.product == std::vector<Dim>{Dim::kv_groups, Dim::heads_per_group, Dim::head_dim}));
      list.push_back(fold.dimension);
    }
    return list;
  };
  CHECK(dimensions("q_proj") == std::vector<int>{0});
  CHECK(dimensions("o_proj") == std::vector<int>{1});
  CHECK(dimensions("both") == std::vector<int>{0, 1});
}

TEST_CASE("nothing is folded without a residual, without pruned heads, and in layers without attention") {
  const Scores scores = scores_of({{2, 1}});
  CHECK(residual(one_layer(1, 2), scores, 1, "none", "both").empty());
  CHECK(residual(one_layer(1, 2), scores, 2, "kept_minus_pruned", "both").empty());
  ModelSpec spec = one_layer(1, 2);
  spec.layers.push_back(spec.layers[0]);
  spec.layers[0].attention = false;
  const std::vector<Fold> folds =
      residual(spec, {{at::empty({0}), at::tensor({1.0f, 2.0f})}}, 1, "kept_minus_pruned", "q_proj");
  REQUIRE(folds.size() == 1);
  CHECK(folds[0].layer == 1);
}

TEST_CASE("fewer than half of the heads have no pairs") {
  CHECK_THROWS_WITH_AS(residual(one_layer(1, 5), scores_of({{1, 2, 3, 4, 5}}), 2, "kept_minus_pruned", "both"),
                       "residual of axis 'heads' pairs each pruned head with a kept one of its group; got 2 of 5 heads "
                       "kept in layer 0; expected at least 3",
                       RecipeError);
}
