// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/eval/evaluate.hpp"
#include "tests/core/eval/tiny.hpp"

using espalier::EvalOptions;
using espalier::EvalResult;
using espalier::Model;
using espalier::Scratch;
using espalier::TokenSource;
using espalier::testing::documents_of;
using espalier::testing::options_of;
using espalier::testing::tiny_model;

TEST_CASE("eval.json has the promised keys and the protocol beside the numbers") {
  const Scratch scratch;
  Model model = tiny_model();
  const std::vector<TokenSource> data = {documents_of(scratch, "a", 20, 0), documents_of(scratch, "b", 10, 1)};
  EvalOptions options = options_of(16);
  options.windows = 5;
  const EvalResult result = evaluate(model, data, options);
  const nlohmann::json json = eval_to_json(result, "mine", model.compute(), data, options);
  CHECK(json.at("model") == "mine");
  CHECK(json.at("nll").get<double>() == result.nll);
  CHECK(json.at("perplexity").get<double>() == result.all.perplexity());
  CHECK(json.at("bits_per_byte").get<double>() == *result.all.bits_per_byte);
  CHECK(json.at("tokens") == 75);
  CHECK(json.at("documents") == 10);
  CHECK(json.at("tasks").is_object());
  REQUIRE(json.at("sources").size() == 2);
  CHECK(json["sources"][1]["name"] == "b");
  CHECK(json["sources"][1]["tokens"] == 15);
  const nlohmann::json& protocol = json.at("protocol");
  CHECK(protocol.at("windows") == 5);
  CHECK(protocol.at("windows_available") == 15);
  CHECK(protocol.at("windows_chosen") == "evenly spaced");
  CHECK(protocol.at("seq_length") == 16);
  CHECK(protocol.at("stride") == 16);
  CHECK(protocol.at("predicted_per_window") == 15);
  CHECK(protocol.at("bytes") == "exact");
  CHECK(protocol.at("dtype") == "float32");
  CHECK(protocol.at("device") == "cpu");
  CHECK(protocol.at("tokenizer") == "bytes");
  CHECK(protocol.at("data")[0].at("digest") == data[0].tokens.digest());
  CHECK_FALSE(json.dump().find(scratch.folder().string()) != std::string::npos);
}

TEST_CASE("without a byte tokenizer bytes are unknown, and not guessed") {
  const Scratch scratch;
  Model model = tiny_model();
  const std::vector<TokenSource> data = {documents_of(scratch, "a", 20, 0)};
  EvalOptions options = options_of(16);
  options.tokenizer = "";
  const EvalResult result = evaluate(model, data, options);
  CHECK_FALSE(result.all.bits_per_byte);
  const nlohmann::json json = eval_to_json(result, "mine", model.compute(), data, options);
  CHECK(json.at("bits_per_byte").is_null());
  CHECK(json.at("sources")[0].at("bits_per_byte").is_null());
  CHECK(json.at("protocol").at("bytes") == "unknown");
  CHECK(json.at("protocol").at("windows_chosen") == "all");
}
