// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/component.hpp"

#include <doctest/doctest.h>

using espalier::ComponentBlock;
using espalier::Diagnostics;
using espalier::Value;

namespace {

void fill(ComponentBlock& block) {
  block.kind = "loss";
  block.table = "distill";
  block.name = "kl";
  block.where = {"r.toml", 4, 1};
  block.options["temperature"] = {Value{-1.0}, {"r.toml", 4, 20}};
}

}  // namespace

TEST_CASE("a component's problem names kind and component, at the option's place") {
  ComponentBlock block;
  fill(block);
  Diagnostics diagnostics;
  block.diagnostics = &diagnostics;
  block.problem("temperature", "temperature is out of range", "-1.0", "a real above 0");
  block.problem("k", "k exceeds the vocabulary", "9", "");
  block.problem("", "wants both or neither", "", "");
  CHECK(diagnostics.text() ==
        "r.toml:4:1: error: [distill] k of loss 'kl' exceeds the vocabulary; got 9\n"
        "r.toml:4:1: error: [distill] loss 'kl' wants both or neither\n"
        "r.toml:4:20: error: [distill] temperature of loss 'kl' is out of range; got -1.0; expected a real above 0\n"
        "3 errors");
}

TEST_CASE("without diagnostics a component's problem is thrown") {
  ComponentBlock block;
  fill(block);
  CHECK_THROWS_WITH_AS(block.problem("temperature", "must be positive", "-1.0", ""),
                       "r.toml:4:20: [distill] temperature of loss 'kl' must be positive; got -1.0",
                       espalier::RecipeError);
}

TEST_CASE("options are found by key") {
  ComponentBlock block;
  fill(block);
  REQUIRE(block.find("temperature"));
  CHECK(std::get<double>(block.find("temperature")->data) == -1.0);
  CHECK(block.find("temp") == nullptr);
}
