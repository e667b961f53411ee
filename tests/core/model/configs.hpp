// SPDX-License-Identifier: Apache-2.0
// config.json texts of published shapes, in the spelling of transformers 4.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace espalier::test {

struct Shape {
  std::int64_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
};

inline nlohmann::json shaped(const Shape& shape) {
  return {{"num_hidden_layers", shape.layers},  {"hidden_size", shape.hidden},
          {"num_attention_heads", shape.heads}, {"num_key_value_heads", shape.kv_heads},
          {"head_dim", shape.head_dim},         {"intermediate_size", shape.ffn},
          {"vocab_size", shape.vocab},          {"tie_word_embeddings", false}};
}

// A few units of each size.
inline nlohmann::json small(const std::string& model_type, std::int64_t layers = 3) {
  nlohmann::json config = shaped({layers, 8, 4, 2, model_type == "nemotron" ? 8 : 6, 10, 16});
  config["model_type"] = model_type;
  return config;
}

inline nlohmann::json llama31(std::int64_t layers, std::int64_t hidden, std::int64_t ffn) {
  nlohmann::json config = nlohmann::json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": false, "mlp_bias": false,
    "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
    "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                     "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "torch_dtype": "bfloat16", "bos_token_id": 128000, "eos_token_id": 128001, "pretraining_tp": 1})");
  config.update(shaped({layers, hidden, 32, 8, 128, ffn, 128256}));
  return config;
}

inline nlohmann::json mistral_nemo(std::int64_t hidden, std::int64_t ffn) {
  nlohmann::json config = nlohmann::json::parse(R"({
    "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_act": "silu",
    "max_position_embeddings": 128000, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": null,
    "torch_dtype": "bfloat16", "transformers_version": "4.43.3", "use_cache": true, "bos_token_id": 1,
    "eos_token_id": 2})");
  config.update(shaped({40, hidden, 32, 8, 128, ffn, 131072}));
  return config;
}

inline nlohmann::json nemotron(const Shape& shape) {
  nlohmann::json config = nlohmann::json::parse(R"({
    "architectures": ["NemotronForCausalLM"], "model_type": "nemotron", "hidden_act": "relu2",
    "max_position_embeddings": 4096, "norm_eps": 1e-05, "rope_theta": 10000, "partial_rotary_factor": 0.5,
    "bos_token_id": 2, "eos_token_id": 3, "kv_channels": 128})");
  config.update(shaped(shape));
  return config;
}

inline nlohmann::json qwen3(std::int64_t layers, std::int64_t hidden, std::int64_t ffn) {
  nlohmann::json config = nlohmann::json::parse(R"({
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": false, "hidden_act": "silu",
    "max_position_embeddings": 40960, "max_window_layers": 36, "rms_norm_eps": 1e-06, "rope_scaling": null,
    "rope_theta": 1000000, "sliding_window": null, "use_sliding_window": false, "torch_dtype": "bfloat16"})");
  config.update(shaped({layers, hidden, 32, 8, 128, ffn, 151936}));
  return config;
}

}  // namespace espalier::test
