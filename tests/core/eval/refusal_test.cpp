// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/eval/evaluate.hpp"
#include "tests/core/eval/tiny.hpp"

using espalier::evaluate;
using espalier::Model;
using espalier::Scratch;
using espalier::testing::documents_of;
using espalier::testing::options_of;
using espalier::testing::tiny_model;

TEST_CASE("a token beyond the vocabulary is named with its source") {
  const Scratch scratch;
  Model model = tiny_model(256);
  CHECK_THROWS_WITH_AS(evaluate(model, {documents_of(scratch, "a", 20, 0)}, options_of(16)),
                       "a: token beyond the model's vocabulary; got 256; expected less than 256", espalier::Error);
}

TEST_CASE("no data, too little data and windows of one token are refused") {
  const Scratch scratch;
  Model model = tiny_model();
  CHECK_THROWS_WITH_AS(evaluate(model, {}, options_of(16)), "evaluation: no data; got 0 sources; expected at least 1",
                       espalier::Error);
  CHECK_THROWS_AS(evaluate(model, {documents_of(scratch, "a", 1, 0)}, options_of(16)), espalier::Error);
  CHECK_THROWS_AS(evaluate(model, {documents_of(scratch, "b", 4, 0)}, options_of(1)), espalier::RecipeError);
}

TEST_CASE("a loss that is not finite stops the evaluation and leaves no dump") {
  const Scratch scratch;
  Model model = tiny_model();
  model.tensors().front().fill_(std::numeric_limits<float>::quiet_NaN());
  espalier::EvalOptions options = options_of(16);
  options.dump = scratch / "dump.safetensors";
  CHECK_THROWS_WITH_AS(evaluate(model, {documents_of(scratch, "a", 20, 0)}, options),
                       "evaluation: the loss is not finite; got nan at token 1 of a window of 'a'; expected a number",
                       espalier::Error);
  CHECK_FALSE(espalier::fs::exists(options.dump));
}

TEST_CASE("data whose every token is masked has nothing to predict") {
  const Scratch scratch;
  Model model = tiny_model();
  documents_of(scratch, "a", 4, 0);
  espalier::write_text(scratch / "a.mask", std::string(32, '\0'));
  const espalier::TokenSource source{"a", std::nullopt, espalier::TokenFile(scratch / "a", "")};
  CHECK_THROWS_WITH_AS(evaluate(model, {source}, options_of(16)),
                       "evaluation: nothing to predict; got 0 tokens that the loss mask keeps; expected at least 1",
                       espalier::Error);
}
