// SPDX-License-Identifier: Apache-2.0
// Mistral: as Llama, without biases; a sliding window over all layers unless it is null.
#include <algorithm>

#include "core/base/error.hpp"
#include "core/model/families/decoder_family.hpp"

namespace espalier {
namespace {

class Mistral final : public DecoderFamily {
 public:
  std::string name() const override { return "mistral"; }
  ModelSpec blank() const override {
    ModelSpec spec;
    spec.family = name();
    spec.max_positions = 131072;
    spec.norm_eps = 1e-6;
    return spec;
  }
  void check(const ModelSpec& spec, const std::string& source) const override {
    DecoderFamily::check(spec, source);
    for (const LayerSpec& layer : spec.layers) {
      if (layer.sliding_window == spec.layers.front().sliding_window) continue;
      fail("{}: family 'mistral' has one sliding window for all layers; got {} and {}; expected equal ones", source,
           spec.layers.front().sliding_window, layer.sliding_window);
    }
    if (spec.qkv_bias || spec.o_bias || spec.mlp_bias) {
      fail("{}: family 'mistral' has no biases; got one; expected none", source);
    }
  }

 protected:
  std::string architecture() const override { return "MistralForCausalLM"; }
  std::int64_t default_kv_heads(std::int64_t) const override { return 8; }
  bool windows() const override { return true; }
  void read_windows(const ConfigReader& config, ModelSpec& spec) const override {
    // A missing key is not null: transformers then assumes 4096.
    const std::int64_t missing = config.mentions("sliding_window") ? 0 : 4096;
    const std::int64_t window = config.has("sliding_window") ? config.size("sliding_window") : missing;
    for (LayerSpec& layer : spec.layers) layer.sliding_window = window;
    for (const bool sliding : read_sliding_layers(config, spec.layers.size())) {
      if (sliding == (window > 0)) continue;
      fail(
          "{}: layer_types and sliding_window contradict each other; got \"{}\" and {}; expected the same for all "
          "layers",
          config.source(), sliding ? "sliding_attention" : "full_attention",
          window > 0 ? std::to_string(window) : "null");
    }
  }
  void write_windows(const ModelSpec& spec, nlohmann::json& config) const override {
    DecoderFamily::write_windows(spec, config);
    const std::int64_t window = spec.layers.front().sliding_window;
    config["sliding_window"] = window > 0 ? nlohmann::json(window) : nlohmann::json();
  }
  void read_details(const ConfigReader&, ModelSpec&) const override {}
  void write_details(const ModelSpec&, nlohmann::json&) const override {}
};

}  // namespace

const Family& mistral_family() {
  static const Mistral family;
  return family;
}

}  // namespace espalier
