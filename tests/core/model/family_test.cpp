// SPDX-License-Identifier: Apache-2.0
#include "core/model/family.hpp"

#include <doctest/doctest.h>

#include "configs.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

std::vector<std::int64_t> windows(const nlohmann::json& config) {
  std::vector<std::int64_t> all;
  for (const LayerSpec& layer : read_spec(config, "c.json").layers) all.push_back(layer.sliding_window);
  return all;
}

nlohmann::json with(nlohmann::json config, const std::string& key, const nlohmann::json& value) {
  config[key] = value;
  return config;
}

nlohmann::json without(nlohmann::json config, const std::string& key) {
  config.erase(key);
  return config;
}

using Windows = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("what transformers assumes for a missing key is assumed here") {
  const ModelSpec llama = read_spec(without(without(small("llama"), "num_key_value_heads"), "head_dim"), "c");
  CHECK(llama.layers[0].kv_groups == 4);
  CHECK(llama.layers[0].head_dim == 2);
  CHECK(llama.norm_eps == 1e-6);
  CHECK(llama.max_positions == 2048);
  CHECK(llama.rope == Rope{});

  const nlohmann::json wide = with(without(small("mistral"), "num_key_value_heads"), "num_attention_heads", 16);
  const ModelSpec mistral = read_spec(wide, "c");
  CHECK(mistral.layers[0].kv_groups == 8);
  CHECK(mistral.layers[2].sliding_window == 4096);
  CHECK(read_spec(with(wide, "num_key_value_heads", nullptr), "c").layers[0].kv_groups == 16);

  const nlohmann::json heads64 = with(without(small("qwen3"), "num_key_value_heads"), "num_attention_heads", 64);
  const ModelSpec qwen3 = read_spec(without(heads64, "head_dim"), "c");
  CHECK(qwen3.layers[0].kv_groups == 32);
  CHECK(qwen3.layers[0].head_dim == 128);
  CHECK(qwen3.qk_norm);
  CHECK_FALSE(qwen3.o_bias);

  const ModelSpec nemotron = read_spec(small("nemotron"), "c");
  CHECK(nemotron.rope.partial == 0.5);
  CHECK(nemotron.activation == Activation::relu2);
  CHECK(nemotron.norm == Norm::layernorm_1p);
  CHECK_FALSE(nemotron.gated);
  CHECK_THROWS_WITH(read_spec(without(small("nemotron"), "num_key_value_heads"), "c.json"),
                    "c.json: num_key_value_heads is missing; expected this key");
}

TEST_CASE("biases are as the families define them") {
  const ModelSpec qwen2 = read_spec(small("qwen2"), "c");
  CHECK(qwen2.qkv_bias);
  CHECK_FALSE(qwen2.o_bias);
  for (const char* name : {"llama", "qwen3", "nemotron"}) {
    const ModelSpec spec = read_spec(with(small(name), "attention_bias", true), "c");
    CHECK(spec.qkv_bias);
    CHECK(spec.o_bias);
  }
  CHECK(read_spec(with(small("llama"), "mlp_bias", true), "c").mlp_bias);
}

TEST_CASE("sliding windows are read as transformers computes them") {
  CHECK(windows(with(small("mistral"), "sliding_window", 5)) == Windows{5, 5, 5});
  CHECK(windows(with(small("mistral"), "sliding_window", nullptr)) == Windows{0, 0, 0});
  nlohmann::json qwen = with(small("qwen2"), "sliding_window", 7);
  CHECK(windows(qwen) == Windows{0, 0, 0});
  qwen["use_sliding_window"] = true;
  CHECK(windows(qwen) == Windows{0, 0, 0});  // max_window_layers is 28 unless given
  qwen["max_window_layers"] = 2;
  CHECK(windows(qwen) == Windows{0, 0, 7});
  qwen["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  CHECK(windows(qwen) == Windows{7, 0, 0});
  qwen["use_sliding_window"] = false;
  CHECK_THROWS_WITH(
      windows(qwen),
      "c.json: layer_types and sliding_window contradict each other; got \"sliding_attention\" in layer 0 "
      "without a window; expected use_sliding_window and sliding_window");
}

TEST_CASE("layer types that a family does not compute are refused") {
  const nlohmann::json two = {"full_attention", "full_attention"};
  CHECK_THROWS_WITH(read_spec(with(small("qwen3"), "layer_types", two), "c.json"),
                    "c.json: layer_types does not have one entry per layer; got 2; expected 3");
  const nlohmann::json linear = {"full_attention", "linear_attention", "full_attention"};
  CHECK_THROWS_WITH(read_spec(with(small("qwen3"), "layer_types", linear), "c.json"),
                    "c.json: layer type is not supported; got \"linear_attention\"; expected 'full_attention' or "
                    "'sliding_attention'; did you mean 'sliding_attention'?");
  const nlohmann::json sliding = {"sliding_attention", "full_attention", "full_attention"};
  CHECK_THROWS_WITH(read_spec(with(small("llama"), "layer_types", sliding), "c.json"),
                    "c.json: layer type is not supported in family 'llama'; got \"sliding_attention\"; expected "
                    "\"full_attention\"");
  CHECK_THROWS_WITH(read_spec(with(with(small("mistral"), "layer_types", sliding), "sliding_window", 4), "c.json"),
                    "c.json: layer_types and sliding_window contradict each other; got \"full_attention\" and 4; "
                    "expected the same for all layers");
}

TEST_CASE("unknown families, activations and quantized weights are refused") {
  CHECK_THROWS_WITH(
      read_spec(with(small("llama"), "model_type", "lama"), "c.json"),
      "c.json: model_type is not supported; got \"lama\"; expected 'llama', 'mistral', 'nemotron', 'qwen2' "
      "or 'qwen3'; did you mean 'llama'?");
  CHECK_THROWS_WITH(read_spec(without(small("llama"), "model_type"), "c.json"),
                    "c.json: model_type is missing; expected this key");
  CHECK_THROWS_WITH(read_spec(with(small("llama"), "hidden_act", "gelu_new"), "c.json"),
                    "c.json: hidden_act is not supported; got \"gelu_new\"; expected 'silu' or 'relu2'");
  CHECK_THROWS_WITH(read_spec(with(small("llama"), "quantization_config", {{"bits", 4}}), "c.json"),
                    "c.json: quantized weights are not supported; got quantization_config; expected F32, F16 or BF16 "
                    "weights");
  nlohmann::json dtypes = with(small("llama"), "dtype", "bfloat16");
  CHECK_NOTHROW(read_spec(with(dtypes, "torch_dtype", "bfloat16"), "c.json"));
  CHECK_THROWS_WITH(read_spec(with(dtypes, "torch_dtype", "float16"), "c.json"),
                    "c.json: dtype and torch_dtype contradict each other; got bfloat16 and float16; expected the same "
                    "value");
}

TEST_CASE("sizes that cannot be are refused with file and key") {
  const auto refused = [](const std::string& key, const nlohmann::json& value) {
    try {
      read_spec(with(small("llama"), key, value), "c.json");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(refused("hidden_size", 0) == "c.json: hidden_size is not valid; got 0; expected a positive integer");
  CHECK(refused("hidden_size", 8.0) == "c.json: hidden_size is not valid; got 8.0; expected a positive integer");
  CHECK(refused("hidden_size", "8") == "c.json: hidden_size is not valid; got \"8\"; expected a positive integer");
  CHECK(refused("hidden_size", nullptr) == "c.json: hidden_size is missing; expected this key");
  CHECK(refused("vocab_size", 1e300) == "c.json: vocab_size is not valid; got 1e+300; expected a positive integer");
  CHECK(refused("vocab_size", std::uint64_t{1} << 63) ==
        "c.json: vocab_size is not valid; got 9223372036854775808; expected at most 2147483647");
  CHECK(refused("num_hidden_layers", 20000) ==
        "c.json: num_hidden_layers is not valid; got 20000; expected 1 to 10000");
  CHECK(refused("num_attention_heads", 3) ==
        "c.json: num_attention_heads does not divide by num_key_value_heads; got 3 and 2; expected a multiple of 2");
  CHECK(refused("head_dim", 5) ==
        "c.json: rotated channels of a head of layer 0 are not an even number; got 5 of head_dim 5; expected 2, 4, …");
  CHECK(refused("rms_norm_eps", -1) == "c.json: rms_norm_eps is not valid; got -1; expected a number above 0");
  CHECK(refused("tie_word_embeddings", "yes") ==
        "c.json: tie_word_embeddings is not valid; got \"yes\"; expected true or false");
  nlohmann::json huge = small("llama");
  for (const char* key : {"hidden_size", "intermediate_size", "vocab_size"}) huge[key] = 2147483647;
  CHECK_THROWS_WITH(read_spec(huge, "c.json"), "c.json: sizes are too large; got about 5.1e+19 parameters");
  CHECK_THROWS_WITH(read_spec(nlohmann::json::array(), "c.json"),
                    "c.json: content is not a JSON object; got []; expected {…}");
}

TEST_CASE("older nemotron key names are read, and may not contradict the newer ones") {
  nlohmann::json config = without(without(small("nemotron"), "head_dim"), "num_key_value_heads");
  config.update({{"kv_channels", 6}, {"rope_percent", 1.0}, {"layer_norm_eps", 1e-3}, {"num_key_value_heads", 2}});
  const ModelSpec spec = read_spec(config, "c.json");
  CHECK(spec.layers[0].head_dim == 6);
  CHECK(spec.rope.partial == 1.0);
  CHECK(spec.norm_eps == 1e-3);
  CHECK_THROWS_WITH(read_spec(with(config, "head_dim", 4), "c.json"),
                    "c.json: head_dim and kv_channels contradict each other; got 4 and 6; expected the same value");
  CHECK_THROWS_WITH(read_spec(with(config, "partial_rotary_factor", 0.5), "c.json"),
                    "c.json: partial_rotary_factor and rope_percent contradict each other; got 0.5 and 1; expected the "
                    "same value");
  CHECK_THROWS_WITH(
      read_spec(with(small("llama"), "partial_rotary_factor", 0.5), "c.json"),
      "c.json: rotated channels of a head of layer 0 are not an even number; got 3 of head_dim 6; expected "
      "2, 4, …");
}
