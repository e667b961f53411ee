// SPDX-License-Identifier: Apache-2.0
#include "core/model/families/decoder_family.hpp"

#include <algorithm>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/model/layer_json.hpp"
#include "core/model/rope_config.hpp"
#include "core/model/validate.hpp"

namespace espalier {
namespace {

Activation read_activation(const ConfigReader& config, Activation fallback) {
  if (!config.has("hidden_act")) return fallback;
  const std::string name = config.text("hidden_act");
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "relu2") return Activation::relu2;
  const std::vector<std::string> known = {"silu", "relu2"};
  fail("{}: hidden_act is not supported; got \"{}\"; expected {}{}", config.source(), name, any_of(known),
       did_you_mean(name, known));
}

void refuse_what_we_do_not_compute(const ConfigReader& config) {
  if (config.has("quantization_config")) {
    fail("{}: quantized weights are not supported; got quantization_config; expected F32, F16 or BF16 weights",
         config.source());
  }
  if (config.has("dtype") && config.has("torch_dtype") && config.text("dtype") != config.text("torch_dtype")) {
    fail("{}: dtype and torch_dtype contradict each other; got {} and {}; expected the same value", config.source(),
         config.text("dtype"), config.text("torch_dtype"));
  }
}

// The value of the first of several names of one setting; all that are there must agree.
std::string present_key(const ConfigReader& config, const std::vector<std::string>& keys) {
  std::string first;
  for (const std::string& key : keys) {
    if (!config.has(key)) continue;
    if (first.empty()) first = key;
    if (config.positive(key) != config.positive(first)) {
      fail("{}: {} and {} contradict each other; got {} and {}; expected the same value", config.source(), first, key,
           config.positive(first), config.positive(key));
    }
  }
  return first.empty() ? keys.front() : first;
}

// The layer that speaks for the model where config.json has one number for all layers.
const LayerSpec& first_with(const ModelSpec& spec, bool LayerSpec::*part) {
  for (const LayerSpec& layer : spec.layers) {
    if (layer.*part) return layer;
  }
  return spec.layers.front();
}

}  // namespace

std::int64_t DecoderFamily::default_head_dim(std::int64_t hidden, std::int64_t heads, const std::string& source) const {
  if (hidden % heads != 0) {
    fail(
        "{}: head_dim is missing and hidden_size does not divide by num_attention_heads; got {} and {}; expected "
        "head_dim",
        source, hidden, heads);
  }
  return hidden / heads;
}

ModelSpec DecoderFamily::read(const nlohmann::json& json, const std::string& source) const {
  const ConfigReader config(json, source);
  refuse_what_we_do_not_compute(config);
  ModelSpec spec = blank();
  spec.hidden = config.size("hidden_size");
  spec.vocab = config.size("vocab_size");
  spec.max_positions = config.size("max_position_embeddings", spec.max_positions);
  spec.tied = config.flag("tie_word_embeddings", false);
  spec.norm_eps = config.positive(present_key(config, eps_keys()), spec.norm_eps);
  spec.activation = read_activation(config, spec.activation);

  LayerSpec layer;
  layer.ffn = config.size("intermediate_size");
  const std::int64_t heads = config.size("num_attention_heads");
  // Missing and null differ here, as they do in transformers: null is "as many as heads".
  std::int64_t missing = default_kv_heads(heads);
  if (missing > 0 && config.mentions("num_key_value_heads")) missing = heads;
  layer.kv_groups = missing > 0 ? config.size("num_key_value_heads", missing) : config.size("num_key_value_heads");
  if (heads % layer.kv_groups != 0) {
    fail("{}: num_attention_heads does not divide by num_key_value_heads; got {} and {}; expected a multiple of {}",
         source, heads, layer.kv_groups, layer.kv_groups);
  }
  layer.heads_per_group = heads / layer.kv_groups;
  const std::string head_dim_key = present_key(config, head_dim_keys());
  layer.head_dim = config.has(head_dim_key) ? config.size(head_dim_key) : default_head_dim(spec.hidden, heads, source);
  const std::int64_t layers = config.size("num_hidden_layers");
  if (layers > 10000) fail("{}: num_hidden_layers is not valid; got {}; expected 1 to 10000", source, layers);
  spec.layers.assign(static_cast<std::size_t>(layers), layer);
  if (config.has(kUnequalLayers)) read_unequal_layers(config, spec);
  read_windows(config, spec);
  read_details(config, spec);
  spec.rope = read_rope(config, partial_keys(), spec.rope.partial, spec.max_positions);
  validate(spec, source);
  return spec;
}

void DecoderFamily::write(const ModelSpec& spec, nlohmann::json& config) const {
  validate(spec, "config of family '" + name() + "'");
  const LayerSpec& attention = first_with(spec, &LayerSpec::attention);
  const auto keep_or_set = [&](const char* key, const nlohmann::json& value) {
    if (!config.contains(key)) config[key] = value;
  };
  const bool fresh = config.empty();
  if (config.value("model_type", "") != name() || !config.contains("architectures")) {
    config["architectures"] = {architecture()};
  }
  config["model_type"] = name();
  config["hidden_size"] = spec.hidden;
  config["intermediate_size"] = first_with(spec, &LayerSpec::mlp).ffn;
  config["num_hidden_layers"] = spec.layers.size();
  config["num_attention_heads"] = attention.heads();
  config["num_key_value_heads"] = attention.kv_groups;
  config["vocab_size"] = spec.vocab;
  config["max_position_embeddings"] = spec.max_positions;
  config["tie_word_embeddings"] = spec.tied;
  config["hidden_act"] = spec.activation == Activation::silu ? "silu" : "relu2";
  const auto set_all = [&](const std::vector<std::string>& keys, const nlohmann::json& value) {
    config[keys.front()] = value;
    for (const std::string& key : keys) {
      if (config.contains(key)) config[key] = value;
    }
  };
  set_all(eps_keys(), spec.norm_eps);
  set_all(head_dim_keys(), attention.head_dim);
  write_rope(spec.rope, partial_rotary(), config);
  for (const std::string& key : partial_keys()) {
    if (config.contains(key)) config[key] = spec.rope.partial;
  }
  write_unequal_layers(spec, config);
  write_windows(spec, config);
  write_details(spec, config);
  keep_or_set("attention_dropout", 0.0);
  keep_or_set("initializer_range", 0.02);
  keep_or_set("use_cache", true);
  if (!fresh) return;
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) config[key] = nullptr;
}

void DecoderFamily::check(const ModelSpec& spec, const std::string& source) const {
  const ModelSpec usual = blank();
  const auto must = [&](bool good, const std::string& what, const std::string& expected) {
    if (!good) fail("{}: family '{}' cannot have this {}; expected {}", source, name(), what, expected);
  };
  must(spec.norm == usual.norm, "norm", usual.norm == Norm::rms ? "rms" : "layernorm_1p");
  must(spec.gated == usual.gated, "MLP", usual.gated ? "a gated one" : "one without a gate");
  must(spec.qk_norm == usual.qk_norm, "qk_norm", usual.qk_norm ? "true" : "false");
  must(partial_rotary() || spec.rope.partial == 1.0, "rope partial " + fmt::format("{}", spec.rope.partial), "1");
  const bool sliding = std::any_of(spec.layers.begin(), spec.layers.end(),
                                   [](const LayerSpec& layer) { return layer.sliding_window > 0; });
  must(windows() || !sliding, "sliding window", "none");
}

void DecoderFamily::read_windows(const ConfigReader& config, ModelSpec& spec) const {
  for (const bool sliding : read_sliding_layers(config, spec.layers.size())) {
    if (!sliding) continue;
    fail("{}: layer type is not supported in family '{}'; got \"sliding_attention\"; expected \"full_attention\"",
         config.source(), name());
  }
}

void DecoderFamily::write_windows(const ModelSpec& spec, nlohmann::json& config) const {
  if (!config.contains("layer_types") || config["layer_types"].is_null()) return;
  nlohmann::json types = nlohmann::json::array();
  for (const LayerSpec& layer : spec.layers) {
    types.push_back(layer.sliding_window > 0 ? "sliding_attention" : "full_attention");
  }
  config["layer_types"] = types;
}

std::vector<bool> read_sliding_layers(const ConfigReader& config, std::size_t layers) {
  std::vector<bool> sliding;
  if (!config.has("layer_types")) return sliding;
  const nlohmann::json& types = config.at("layer_types");
  if (!types.is_array() || types.size() != layers) {
    fail("{}: layer_types does not have one entry per layer; got {}; expected {}", config.source(), types.size(),
         layers);
  }
  const std::vector<std::string> known = {"full_attention", "sliding_attention"};
  for (const nlohmann::json& type : types) {
    const std::string name = type.is_string() ? type.get<std::string>() : type.dump();
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      fail("{}: layer type is not supported; got \"{}\"; expected {}{}", config.source(), name, any_of(known),
           did_you_mean(name, known));
    }
    sliding.push_back(name == known[1]);
  }
  return sliding;
}

}  // namespace espalier
