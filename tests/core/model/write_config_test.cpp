// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "configs.hpp"
#include "core/model/family.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

std::vector<nlohmann::json> configs() {
  nlohmann::json qwen2 = shaped({4, 64, 4, 2, 16, 96, 100});
  qwen2.update(
      {{"model_type", "qwen2"}, {"use_sliding_window", true}, {"sliding_window", 9}, {"max_window_layers", 2}});
  nlohmann::json linear = llama31(3, 64, 96);
  linear["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  return {llama31(32, 4096, 14336),
          mistral_nemo(5120, 14336),
          qwen3(4, 4096, 12288),
          nemotron({2, 6144, 48, 8, 128, 24576, 256000}),
          qwen2,
          linear};
}

}  // namespace

TEST_CASE("a config that is written is read as the same spec, with and without a base") {
  for (const nlohmann::json& base : configs()) {
    const ModelSpec spec = read_spec(base, "base");
    CHECK(read_spec(write_config(spec, base, {}, "bfloat16"), "written") == spec);
    CHECK(read_spec(write_config(spec, {}, {}, "bfloat16"), "written") == spec);
  }
}

TEST_CASE("both spellings and every key are written, unknown keys stay") {
  nlohmann::json base = llama31(2, 64, 96);
  base["rope_parameters"] = nullptr;
  base["my_own_key"] = {1, 2, 3};
  const ModelSpec spec = read_spec(base, "base");
  const nlohmann::json config = write_config(spec, base, {}, "float16");
  CHECK(config["dtype"] == "float16");
  CHECK(config["torch_dtype"] == "float16");
  CHECK(config["rope_theta"] == 500000.0);
  CHECK(config["rope_scaling"]["rope_type"] == "llama3");
  CHECK(config["rope_parameters"]["rope_theta"] == 500000.0);
  CHECK(config["rope_parameters"]["factor"] == 8.0);
  CHECK(config["head_dim"] == 128);
  CHECK(config["my_own_key"] == nlohmann::json({1, 2, 3}));
  CHECK(config["bos_token_id"] == 128000);
  for (const char* key : {"architectures", "attention_bias", "attention_dropout", "hidden_act", "hidden_size",
                          "initializer_range", "intermediate_size", "max_position_embeddings", "mlp_bias", "model_type",
                          "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "pretraining_tp",
                          "rms_norm_eps", "tie_word_embeddings", "use_cache", "vocab_size"}) {
    CHECK_MESSAGE(config.contains(key), key);
  }
}

TEST_CASE("after a depth cut, lists with one entry per layer follow the kept layers") {
  nlohmann::json base = qwen3(4, 64, 96);
  base.update({{"use_sliding_window", true}, {"sliding_window", 5}, {"max_window_layers", 2}});
  base["layer_types"] = {"full_attention", "full_attention", "sliding_attention", "sliding_attention"};
  base["some_layer_list"] = {10, 11, 12, 13};
  base["eos_token_id"] = {1, 2, 3, 4};
  ModelSpec spec = read_spec(base, "base");
  spec.layers = {spec.layers[0], spec.layers[3]};
  const nlohmann::json config = write_config(spec, base, {0, 3}, "float32");
  CHECK(config["layer_types"] == nlohmann::json({"full_attention", "sliding_attention"}));
  CHECK(config["max_window_layers"] == 1);
  CHECK(config["num_hidden_layers"] == 2);
  CHECK(config["some_layer_list"] == nlohmann::json({10, 13}));
  CHECK(config["eos_token_id"].size() == 4);
  CHECK(read_spec(config, "written") == spec);
}

TEST_CASE("older names of a setting follow the newer ones") {
  nlohmann::json base = nemotron({2, 64, 4, 2, 16, 96, 100});
  base["kv_channels"] = 16;
  base["rope_percent"] = 0.5;
  ModelSpec spec = read_spec(base, "base");
  for (LayerSpec& layer : spec.layers) layer.head_dim = 8;
  const nlohmann::json config = write_config(spec, base, {}, "float32");
  CHECK(config["kv_channels"] == 8);
  CHECK(config["head_dim"] == 8);
  CHECK(read_spec(config, "written") == spec);
}

TEST_CASE("unequal layers are written as our own key and read back") {
  ModelSpec spec = read_spec(llama31(3, 64, 96), "base");
  spec.layers[1].ffn = 32;
  spec.layers[2].mlp = false;
  spec.layers[0].heads_per_group = 2;
  const nlohmann::json config = write_config(spec, llama31(3, 64, 96), {}, "float32");
  CHECK(config["espalier_layers"].size() == 3);
  CHECK(read_spec(config, "written") == spec);
  CHECK(compatibility_notes(spec) ==
        std::vector<std::string>{"of 3 layers 3 have an attention and 2 an MLP, which espalier itself loads; "
                                 "transformers, vLLM and llama.cpp, which expect both in every layer, cannot",
                                 "layers differ in size, which neither transformers nor inference engines can load"});
  nlohmann::json wrong = config;
  wrong["espalier_layers"][1]["fnn"] = 3;
  CHECK_THROWS_WITH(read_spec(wrong, "c.json"),
                    "c.json: unknown key; got 'espalier_layers[1].fnn'; expected 'heads', 'kv_groups', 'head_dim', "
                    "'ffn', 'sliding_window', 'attention' or 'mlp'; did you mean 'ffn'?");
}

TEST_CASE("what transformers would refuse is said") {
  CHECK(compatibility_notes(read_spec(llama31(3, 64, 96), "base")).empty());
  CHECK(compatibility_notes(read_spec(llama31(3, 72, 96), "base")) ==
        std::vector<std::string>{"transformers 5 refuses a llama whose hidden_size is not a multiple of "
                                 "num_attention_heads; got 72 and 32"});
  nlohmann::json config = nemotron({2, 64, 4, 2, 16, 96, 100});
  config.erase("kv_channels");
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
  CHECK(compatibility_notes(read_spec(config, "base")) ==
        std::vector<std::string>{"transformers 4 ignores the rope type of a nemotron; got \"linear\""});
}
