// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "plugins/losses/feature_map.hpp"
#include "tests/plugins/options.hpp"

using espalier::FeaturePair;
using espalier::ModelSpec;
using espalier::parse_options;
using espalier::TestOptions;
using espalier::text;
using espalier::Value;
using espalier::ValueList;
using espalier::plugins::FeatureMap;

namespace {

using Layers = std::vector<std::pair<std::int64_t, std::int64_t>>;

ModelSpec of_depth(std::size_t layers) {
  ModelSpec spec;
  spec.hidden = 8;
  spec.layers.resize(layers);
  return spec;
}

Value list(std::initializer_list<const char*> entries) {
  ValueList values;
  for (const char* entry : entries) values.push_back(text(entry));
  return {values};
}

Layers layers_of(TestOptions options, std::size_t student, std::size_t teacher) {
  Layers layers;
  for (const FeaturePair& pair : parse_options<FeatureMap>(options).pairs_of(of_depth(student), of_depth(teacher))) {
    layers.push_back({pair.student.layer, pair.teacher.layer});
  }
  REQUIRE(options.problems.empty());
  return layers;
}

std::vector<std::string> problems_of(TestOptions options) {
  parse_options<FeatureMap>(options);
  return options.problems;
}

}  // namespace

TEST_CASE("last is the layer before the last two of each: 13 and 29 for 16 and 32 layers") {
  CHECK(layers_of({}, 16, 32) == Layers{{13, 29}});
  CHECK(layers_of({{"map", text("last")}}, 3, 4) == Layers{{0, 1}});
  CHECK(layers_of({{"embedding", Value{true}}}, 16, 32) == Layers{{-1, -1}, {13, 29}});
}

TEST_CASE("uniform pairs every layer of the student, ends with the last of both, and never leaves the teacher") {
  const TestOptions uniform{{"map", text("uniform")}};
  CHECK(layers_of(uniform, 2, 4) == Layers{{0, 1}, {1, 3}});
  CHECK(layers_of(uniform, 3, 4) == Layers{{0, 1}, {1, 2}, {2, 3}});
  CHECK(layers_of(uniform, 3, 3) == Layers{{0, 0}, {1, 1}, {2, 2}});
  CHECK(layers_of(uniform, 4, 2) == Layers{{0, 0}, {1, 0}, {2, 1}, {3, 1}});
  CHECK(layers_of(uniform, 3, 8) == Layers{{0, 2}, {1, 5}, {2, 7}});
  for (std::size_t student = 1; student < 12; ++student) {
    for (std::size_t teacher = 1; teacher < 12; ++teacher) {
      const Layers layers = layers_of(uniform, student, teacher);
      CHECK(layers.size() == student);
      CHECK(layers.front().second >= 0);
      CHECK(layers.back().second == static_cast<std::int64_t>(teacher) - 1);
      for (std::size_t i = 1; i < layers.size(); ++i) CHECK(layers[i].second >= layers[i - 1].second);
    }
  }
}

TEST_CASE("explicit pairs come in the recipe's order, the embedding once") {
  const TestOptions given{{"map", text("explicit")}, {"pairs", list({"13:29", "-1:-1", "2:0"})}};
  CHECK(layers_of(given, 16, 32) == Layers{{13, 29}, {-1, -1}, {2, 0}});
  TestOptions with_embedding = given;
  with_embedding.set("embedding", Value{true});
  CHECK(layers_of(with_embedding, 16, 32) == Layers{{-1, -1}, {13, 29}, {2, 0}});
}

TEST_CASE("normed is one choice for both sides of every pair") {
  for (const bool normed : {true, false}) {
    TestOptions options{{"normed", Value{normed}}, {"embedding", Value{true}}};
    for (const FeaturePair& pair : parse_options<FeatureMap>(options).pairs_of(of_depth(4), of_depth(6))) {
      CHECK(pair.student.normed == normed);
      CHECK(pair.teacher.normed == normed);
    }
  }
  TestOptions none;
  CHECK(parse_options<FeatureMap>(none).normed);
}

TEST_CASE("pairs that are missing, misplaced, misspelt or doubled are problems of the recipe") {
  CHECK(problems_of({{"map", text("explicit")}}) ==
        std::vector<std::string>{
            "pairs are missing for map = \"explicit\"; got none; expected a list such as [\"13:29\"]"});
  CHECK(problems_of({{"pairs", list({"13:29"})}}) ==
        std::vector<std::string>{
            "pairs belong to map = \"explicit\"; got map = \"last\"; expected map = \"explicit\" beside them"});
  for (const char* wrong : {"13", "13:", ":29", "a:b", "1:2:3", "-2:0", "1 : 2", "", "99999999999999999999:0"}) {
    CHECK(problems_of({{"map", text("explicit")}, {"pairs", list({wrong})}}) ==
          std::vector<std::string>{"pairs have an entry that names no two layers; got \"" + std::string(wrong) +
                                   "\"; expected \"student:teacher\" from 0, or -1 for the embedding's output, as in "
                                   "\"13:29\""});
  }
  CHECK(problems_of({{"map", text("explicit")}, {"pairs", list({"1:2", "0:1", "1:2"})}}) ==
        std::vector<std::string>{"pairs have an entry twice; got \"1:2\"; expected each pair once"});
}

TEST_CASE("last needs three layers in both models") {
  TestOptions options;
  const FeatureMap map = parse_options<FeatureMap>(options);
  CHECK_THROWS_WITH_AS(map.pairs_of(of_depth(2), of_depth(4)),
                       "map = \"last\" takes the layer before the last two; got 2 layers in the student; expected 3 or "
                       "more, or map = \"explicit\"",
                       espalier::RecipeError);
  CHECK_THROWS_WITH_AS(map.pairs_of(of_depth(4), of_depth(1)),
                       "map = \"last\" takes the layer before the last two; got 1 layers in the teacher; expected 3 or "
                       "more, or map = \"explicit\"",
                       espalier::RecipeError);
}
