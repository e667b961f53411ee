// SPDX-License-Identifier: Apache-2.0
#include "core/model/layer_json.hpp"

#include "core/base/error.hpp"

namespace espalier {
namespace {

std::vector<std::string> layer_keys() {
  return {"heads", "kv_groups", "head_dim", "ffn", "sliding_window", "attention", "mlp"};
}

LayerSpec without_window(LayerSpec layer) {
  layer.sliding_window = 0;
  return layer;
}

}  // namespace

nlohmann::json layer_to_json(const LayerSpec& layer) {
  return {{"heads", layer.heads()}, {"kv_groups", layer.kv_groups},           {"head_dim", layer.head_dim},
          {"ffn", layer.ffn},       {"sliding_window", layer.sliding_window}, {"attention", layer.attention},
          {"mlp", layer.mlp}};
}

LayerSpec layer_from_json(const ConfigReader& json, const LayerSpec& usual) {
  LayerSpec layer = usual;
  layer.attention = json.flag("attention", usual.attention);
  layer.mlp = json.flag("mlp", usual.mlp);
  const std::int64_t heads = json.index("heads", usual.heads());
  layer.kv_groups = json.index("kv_groups", usual.kv_groups > 0 ? usual.kv_groups : heads);
  layer.head_dim = json.index("head_dim", usual.head_dim);
  layer.ffn = json.index("ffn", usual.ffn);
  layer.sliding_window = json.index("sliding_window", usual.sliding_window);
  const bool divides = layer.kv_groups > 0 && heads % layer.kv_groups == 0;
  if (layer.attention && !divides) {
    fail("{}: {} does not divide by kv_groups; got {} and {}; expected a multiple", json.source(), json.place("heads"),
         heads, layer.kv_groups);
  }
  layer.heads_per_group = divides ? heads / layer.kv_groups : 0;
  return layer;
}

void write_unequal_layers(const ModelSpec& spec, nlohmann::json& config) {
  config.erase(kUnequalLayers);
  bool equal = spec.layers.front().attention && spec.layers.front().mlp;
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerSpec& layer : spec.layers) {
    equal = equal && without_window(layer) == without_window(spec.layers.front());
    layers.push_back(layer_to_json(layer));
    layers.back().erase("sliding_window");  // the family's own keys say it
  }
  if (!equal) config[kUnequalLayers] = layers;
}

void read_unequal_layers(const ConfigReader& config, ModelSpec& spec) {
  const nlohmann::json& list = config.at(kUnequalLayers);
  if (!list.is_array() || list.size() != spec.layers.size()) {
    fail("{}: {} does not have one entry per layer; got {}; expected {}", config.source(), kUnequalLayers, list.size(),
         spec.layers.size());
  }
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const ConfigReader layer(list[i], config.source(), std::string(kUnequalLayers) + "[" + std::to_string(i) + "].");
    layer.only(layer_keys());
    spec.layers[i] = layer_from_json(layer, spec.layers[i]);
  }
}

}  // namespace espalier
