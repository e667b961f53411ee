// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "configs.hpp"
#include "core/model/family.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("a spec as JSON comes back the same, equal layers or not") {
  for (ModelSpec spec :
       {read_spec(llama31(3, 4096, 14336), "c"), read_spec(mistral_nemo(5120, 14336), "c"),
        read_spec(qwen3(2, 4096, 12288), "c"), read_spec(nemotron({2, 6144, 48, 8, 128, 24576, 256000}), "c")}) {
    CHECK(spec_from_json(spec_to_json(spec), "plan.json") == spec);
    spec.layers[1].ffn = 17;
    spec.layers[0].attention = false;
    CHECK(spec_from_json(spec_to_json(spec), "plan.json") == spec);
  }
}

TEST_CASE("a recipe's short spec is completed by the family") {
  const nlohmann::json json = {{"family", "llama"}, {"layers", 6}, {"hidden", 256}, {"heads", 8},  {"kv_groups", 4},
                               {"head_dim", 32},    {"ffn", 688},  {"vocab", 257},  {"tied", true}};
  const ModelSpec spec = spec_from_json(json, "recipe.toml: teacher.spec");
  CHECK(spec.layers.size() == 6);
  CHECK(spec.layers[5].heads_per_group == 2);
  CHECK(spec.layers[5].kv_groups == 4);
  CHECK(spec.tied);
  CHECK(spec.gated);
  nlohmann::json shorter = json;
  shorter.erase("head_dim");
  shorter.erase("kv_groups");
  const ModelSpec full = spec_from_json(shorter, "r");
  CHECK(full.layers[0].kv_groups == 8);
  CHECK(full.layers[0].head_dim == 32);
}

TEST_CASE("mistakes in a spec are named") {
  const nlohmann::json good = {{"family", "llama"}, {"layers", 2}, {"hidden", 8},
                               {"heads", 2},        {"ffn", 4},    {"vocab", 9}};
  const auto refused = [&](const std::string& key, const nlohmann::json& value) {
    nlohmann::json json = good;
    json[key] = value;
    if (value.is_null()) json.erase(key);
    try {
      spec_from_json(json, "spec");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(refused("layers", 2) == "accepted");
  CHECK(refused("ffn", nullptr) == "spec: ffn is missing; expected this key");
  CHECK(refused("heads", nullptr) == "spec: heads is missing; expected this key");
  CHECK(refused("kv_groups", 3) == "spec: heads does not divide by kv_groups; got 2 and 3; expected a multiple");
  CHECK(refused("norm", "layernorm_1p") == "spec: family 'llama' cannot have this norm; expected rms");
  CHECK(refused("norm", "rsm") ==
        "spec: norm is not valid; got \"rsm\"; expected 'rms' or 'layernorm_1p'; did you mean "
        "'rms'?");
  CHECK(refused("o_bias", true) ==
        "spec: family 'llama' has one key for all attention biases; got qkv_bias false and "
        "o_bias true; expected equal ones");
  CHECK(refused("sliding_window", 4) == "spec: family 'llama' cannot have this sliding window; expected none");
  CHECK(refused("rope", {{"partial", 0.5}}) == "spec: family 'llama' cannot have this rope partial 0.5; expected 1");
  CHECK(refused("layer", 3).substr(0, 40) == "spec: unknown key; got 'layer'; expected");
}
