// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/model/family.hpp"
#include "core/model/layer_json.hpp"
#include "core/model/validate.hpp"

namespace espalier {
namespace {

const std::vector<std::string> kNorms = {"rms", "layernorm_1p"};
const std::vector<std::string> kActivations = {"silu", "relu2"};

template <class Enum>
Enum choice(const ConfigReader& json, const char* key, const std::vector<std::string>& names, Enum usual) {
  const std::string name = json.text(key, names[static_cast<std::size_t>(usual)]);
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    fail("{}: {} is not valid; got \"{}\"; expected {}{}", json.source(), json.place(key), name, any_of(names),
         did_you_mean(name, names));
  }
  return static_cast<Enum>(found - names.begin());
}

nlohmann::json rope_to_json(const Rope& rope) {
  return {{"type", rope.type},
          {"theta", rope.theta},
          {"partial", rope.partial},
          {"factor", rope.factor},
          {"low_freq_factor", rope.low_freq_factor},
          {"high_freq_factor", rope.high_freq_factor},
          {"original_max_positions", rope.original_max_positions}};
}

Rope rope_from_json(const ConfigReader& json, const Rope& usual) {
  json.only({"type", "theta", "partial", "factor", "low_freq_factor", "high_freq_factor", "original_max_positions"});
  Rope rope;
  rope.type = json.text("type", usual.type);
  const std::vector<std::string> types = {"default", "linear", "llama3"};
  if (std::find(types.begin(), types.end(), rope.type) == types.end()) {
    fail("{}: {} is not valid; got \"{}\"; expected {}{}", json.source(), json.place("type"), rope.type, any_of(types),
         did_you_mean(rope.type, types));
  }
  rope.theta = json.positive("theta", usual.theta);
  rope.partial = json.positive("partial", usual.partial);
  rope.factor = json.positive("factor", usual.factor);
  rope.low_freq_factor = json.positive("low_freq_factor", usual.low_freq_factor);
  rope.high_freq_factor = json.positive("high_freq_factor", usual.high_freq_factor);
  rope.original_max_positions = json.size("original_max_positions", usual.original_max_positions);
  return rope;
}

void read_layers(const ConfigReader& json, ModelSpec& spec) {
  LayerSpec usual;
  if (json.has("heads")) {
    usual.kv_groups = json.size("heads");
    usual.heads_per_group = 1;
    if (spec.hidden % usual.kv_groups == 0) usual.head_dim = spec.hidden / usual.kv_groups;
    if (json.has("kv_groups")) usual.kv_groups = 0;  // both are read again below
  }
  const nlohmann::json& layers = json.at("layers");
  if (layers.is_array()) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const ConfigReader layer(layers[i], json.source(), json.place("layers") + "[" + std::to_string(i) + "].");
      layer.only({"heads", "kv_groups", "head_dim", "ffn", "sliding_window", "attention", "mlp"});
      spec.layers.push_back(layer_from_json(layer, LayerSpec{}));
    }
    return;
  }
  const std::int64_t number = json.size("layers");
  if (number > 10000) fail("{}: layers is not valid; got {}; expected 1 to 10000", json.source(), number);
  for (const char* key : {"heads", "ffn"}) (void)json.size(key);  // required
  spec.layers.assign(static_cast<std::size_t>(number), layer_from_json(json, usual));
}

}  // namespace

nlohmann::json spec_to_json(const ModelSpec& spec) {
  nlohmann::json json = {
      {"family", spec.family},     {"hidden", spec.hidden},
      {"vocab", spec.vocab},       {"max_positions", spec.max_positions},
      {"tied", spec.tied},         {"norm", kNorms[static_cast<std::size_t>(spec.norm)]},
      {"norm_eps", spec.norm_eps}, {"activation", kActivations[static_cast<std::size_t>(spec.activation)]},
      {"gated", spec.gated},       {"qkv_bias", spec.qkv_bias},
      {"o_bias", spec.o_bias},     {"mlp_bias", spec.mlp_bias},
      {"qk_norm", spec.qk_norm},   {"rope", rope_to_json(spec.rope)}};
  if (!spec.layers.empty() && spec.uniform()) {
    json["layers"] = spec.layers.size();
    json.update(layer_to_json(spec.layers.front()));
    return json;
  }
  json["layers"] = nlohmann::json::array();
  for (const LayerSpec& layer : spec.layers) json["layers"].push_back(layer_to_json(layer));
  return json;
}

ModelSpec spec_from_json(const nlohmann::json& object, const std::string& source) {
  const ConfigReader json(object, source);
  json.only({"family",   "layers",        "hidden", "heads",          "kv_groups",  "head_dim", "ffn",      "vocab",
             "tied",     "max_positions", "norm",   "norm_eps",       "activation", "gated",    "qkv_bias", "o_bias",
             "mlp_bias", "qk_norm",       "rope",   "sliding_window", "attention",  "mlp"});
  ModelSpec spec = family(json.text("family"), source).blank();
  spec.hidden = json.size("hidden");
  spec.vocab = json.size("vocab");
  spec.max_positions = json.size("max_positions", spec.max_positions);
  spec.tied = json.flag("tied", spec.tied);
  spec.norm = choice(json, "norm", kNorms, spec.norm);
  spec.norm_eps = json.positive("norm_eps", spec.norm_eps);
  spec.activation = choice(json, "activation", kActivations, spec.activation);
  spec.gated = json.flag("gated", spec.gated);
  spec.qkv_bias = json.flag("qkv_bias", spec.qkv_bias);
  spec.o_bias = json.flag("o_bias", spec.o_bias);
  spec.mlp_bias = json.flag("mlp_bias", spec.mlp_bias);
  spec.qk_norm = json.flag("qk_norm", spec.qk_norm);
  if (json.has("rope")) spec.rope = rope_from_json(json.object("rope"), spec.rope);
  read_layers(json, spec);
  validate(spec, source);
  return spec;
}

}  // namespace espalier
