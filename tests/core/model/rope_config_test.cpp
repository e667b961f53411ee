// SPDX-License-Identifier: Apache-2.0
#include "core/model/rope_config.hpp"

#include <doctest/doctest.h>

#include "espalier/sdk/error.hpp"

using namespace espalier;

namespace {

Rope read(const std::string& text) {
  const nlohmann::json config = nlohmann::json::parse(text);
  return read_rope(ConfigReader(config, "c.json"), {"partial_rotary_factor"}, 1.0, 4096);
}

}  // namespace

TEST_CASE("no rope keys at all mean theta 10000 without scaling") { CHECK(read("{}") == Rope{}); }

TEST_CASE("both spellings of transformers give the same rope") {
  Rope rope;
  rope.type = "llama3";
  rope.theta = 500000;
  rope.factor = 8;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_max_positions = 8192;
  const std::string inner =
      R"("factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192)";
  CHECK(read(R"({"rope_theta": 500000, "rope_scaling": {"rope_type": "llama3", )" + inner + "}}") == rope);
  CHECK(read(R"({"rope_theta": 500000.0, "rope_scaling": {"type": "llama3", )" + inner + "}}") == rope);
  CHECK(read(R"({"rope_theta": null, "rope_scaling": null, "rope_parameters": {"rope_theta": 500000.0,
                 "rope_type": "llama3", )" +
             inner + "}}") == rope);
  rope.original_max_positions = 4096;
  CHECK(read(R"({"rope_theta": 500000, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                 "high_freq_factor": 4.0}})") == rope);
}

TEST_CASE("linear scaling has a factor and a share of rotated channels may be given") {
  Rope rope;
  rope.type = "linear";
  rope.factor = 2.5;
  rope.partial = 0.5;
  CHECK(read(R"({"partial_rotary_factor": 0.5, "rope_scaling": {"type": "linear", "factor": 2.5}})") == rope);
  CHECK(read(R"({"rope_parameters": {"rope_type": "linear", "factor": 2.5, "partial_rotary_factor": 0.5}})") == rope);
}

TEST_CASE("spellings that contradict each other are refused") {
  CHECK_THROWS_WITH(read(R"({"rope_theta": 10000.0, "rope_parameters": {"rope_theta": 500000.0}})"),
                    "c.json: rope_theta and rope_parameters.rope_theta contradict each other; got 10000 and 500000; "
                    "expected the same value");
  CHECK_THROWS_WITH(
      read(R"({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "default"}})"),
      "c.json: rope_type and type contradict each other; got \"default\" and \"linear\"; expected the same "
      "value");
  CHECK_THROWS_WITH(read(R"({"rope_scaling": {"rope_type": "linear", "factor": 2},
                            "rope_parameters": {"rope_type": "linear", "factor": 3}})"),
                    "c.json: rope_parameters.factor and rope_scaling.factor contradict each other; got 3 and 2; "
                    "expected the same value");
}

TEST_CASE("a rope type that we do not compute is refused") {
  CHECK_THROWS_WITH(read(R"({"rope_scaling": {"rope_type": "yarn", "factor": 2}})"),
                    "c.json: rope type is not supported; got \"yarn\"; expected 'default', 'linear' or 'llama3'");
  CHECK_THROWS_WITH(
      read(R"({"rope_scaling": {"type": "llama-3", "factor": 2}})"),
      "c.json: rope type is not supported; got \"llama-3\"; expected 'default', 'linear' or 'llama3'; did "
      "you mean 'llama3'?");
  CHECK_THROWS_WITH(read(R"({"rope_parameters": {"full_attention": {"rope_type": "default"}}})"),
                    "c.json: rope_parameters per layer type are not supported; expected one set for all layers");
}

TEST_CASE("missing and malformed rope keys are named") {
  CHECK_THROWS_WITH(read(R"({"rope_scaling": {"rope_type": "linear"}})"),
                    "c.json: factor of rope type \"linear\" is missing; expected this key");
  CHECK_THROWS_WITH(read(R"({"rope_scaling": {"rope_type": "linear", "factor": "2"}})"),
                    "c.json: rope_scaling.factor is not valid; got \"2\"; expected a number above 0");
  CHECK_THROWS_WITH(read(R"({"rope_theta": -1})"),
                    "c.json: rope_theta is not valid; got -1; expected a number above 0");
  CHECK_THROWS_WITH(read(R"({"rope_scaling": 3})"), "c.json: rope_scaling is not a JSON object; got 3; expected {…}");
}

TEST_CASE("a rope written is a rope read, and transformers 5 sees no idle rope_scaling") {
  for (const char* type : {"default", "linear", "llama3"}) {
    Rope rope;
    rope.type = type;
    rope.theta = 12345.5;
    rope.partial = 0.5;
    if (rope.type != "default") rope.factor = 4;
    if (rope.type == "llama3") rope.low_freq_factor = 2, rope.high_freq_factor = 3, rope.original_max_positions = 77;
    nlohmann::json config;
    write_rope(rope, true, config);
    CHECK(read(config.dump()) == rope);
    CHECK(config["rope_scaling"].is_null() == (rope.type == "default"));
    CHECK(config["rope_theta"] == 12345.5);
    CHECK(config["rope_parameters"]["rope_theta"] == 12345.5);
    CHECK(config["partial_rotary_factor"] == 0.5);
  }
}
