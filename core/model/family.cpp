// SPDX-License-Identifier: Apache-2.0
#include "core/model/family.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/model/config_reader.hpp"
#include "core/model/families/decoder_family.hpp"
#include "core/model/layer_axis.hpp"

namespace espalier {
namespace {

std::vector<const Family*> families() {
  return {&llama_family(), &mistral_family(), &nemotron_family(), &qwen2_family(), &qwen3_family()};
}

// Lists with one entry per layer, known to us or not: transformers refuses a layer_types of another length.
void cut_per_layer_lists(nlohmann::json& config, std::size_t layers_before, const std::vector<std::int64_t>& layer_of) {
  for (auto& [key, value] : config.items()) {
    if (key.find("layer") == std::string::npos || !value.is_array() || value.size() != layers_before) continue;
    nlohmann::json cut = nlohmann::json::array();
    for (const std::int64_t layer : layer_of) cut.push_back(value.at(static_cast<std::size_t>(layer)));
    value = std::move(cut);
  }
}

}  // namespace

const Family& family(const std::string& model_type, const std::string& source) {
  for (const Family* candidate : families()) {
    if (candidate->name() == model_type) return *candidate;
  }
  const std::vector<std::string> names = family_names();
  fail("{}: model_type is not supported; got \"{}\"; expected {}{}", source, model_type, any_of(names),
       did_you_mean(model_type, names));
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family* candidate : families()) names.push_back(candidate->name());
  return names;
}

ModelSpec read_spec(const nlohmann::json& config, const std::string& source) {
  const ConfigReader reader(config, source);
  return family(reader.text("model_type"), source).read(config, source);
}

nlohmann::json write_config(const ModelSpec& spec, const nlohmann::json& base,
                            const std::vector<std::int64_t>& layer_of, const std::string& dtype) {
  nlohmann::json config = base.is_object() ? base : nlohmann::json::object();
  const auto before = config.find("num_hidden_layers");
  if (before != config.end() && before->is_number_integer() && !layer_of.empty()) {
    const auto layers = before->get<std::size_t>();
    for (const std::int64_t layer : layer_of) {
      ESPALIER_CHECK(layer >= 0 && static_cast<std::size_t>(layer) < layers, "layer_of names layer ", layer);
    }
    cut_per_layer_lists(config, layers, layer_of);
  }
  family(spec.family, "config of the student").write(spec, config);
  config["dtype"] = dtype;
  config["torch_dtype"] = dtype;
  return config;
}

namespace {

// Both parts on, those that were off in the sizes of `usual`: sizes of what is not there do not count.
LayerSpec filled_up(LayerSpec layer, const LayerSpec& usual) {
  if (!layer.attention) {
    layer.kv_groups = usual.kv_groups, layer.heads_per_group = usual.heads_per_group, layer.head_dim = usual.head_dim;
  }
  if (!layer.mlp) layer.ffn = usual.ffn;
  layer.attention = layer.mlp = true;
  layer.sliding_window = usual.sliding_window;
  return layer;
}

// A layer with the sizes of the first attention and of the first MLP.
LayerSpec usual_layer(const ModelSpec& spec) {
  LayerSpec usual = spec.layers.front();
  const auto first = [&](Part part) {
    const std::vector<std::int64_t> layers = layers_with(spec, part);
    return layers.empty() ? usual : spec.layers[static_cast<std::size_t>(layers.front())];
  };
  usual = filled_up(first(Part::attention), first(Part::attention));
  usual.ffn = first(Part::mlp).ffn;
  return usual;
}

}  // namespace

std::vector<std::string> compatibility_notes(const ModelSpec& spec) {
  std::vector<std::string> notes;
  const LayerSpec usual = usual_layer(spec);
  bool same = true, windows_last = true;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (i > 0 && spec.layers[i - 1].sliding_window > 0 && spec.layers[i].sliding_window == 0) windows_last = false;
    same = same && filled_up(spec.layers[i], usual) == usual;
  }
  const std::size_t layers = spec.layers.size(), attentions = layers_with(spec, Part::attention).size(),
                    mlps = layers_with(spec, Part::mlp).size();
  if (attentions < layers || mlps < layers) {
    notes.push_back(fmt::format(
        "of {} layers {} have an attention and {} an MLP, which espalier itself loads; transformers, vLLM and "
        "llama.cpp, which expect both in every layer, cannot",
        layers, attentions, mlps));
  }
  if (!same) notes.push_back("layers differ in size, which neither transformers nor inference engines can load");
  const std::int64_t heads = usual.heads();
  if (spec.family == "llama" && heads > 0 && spec.hidden % heads != 0) {
    notes.push_back(fmt::format(
        "transformers 5 refuses a llama whose hidden_size is not a multiple of num_attention_heads; got {} and {}",
        spec.hidden, heads));
  }
  if (spec.family == "nemotron" && spec.rope.type != "default") {
    notes.push_back(fmt::format("transformers 4 ignores the rope type of a nemotron; got \"{}\"", spec.rope.type));
  }
  if (!windows_last) {
    notes.push_back("transformers before 4.53 expects sliding windows on the last layers only; here they are mixed");
  }
  return notes;
}

}  // namespace espalier
