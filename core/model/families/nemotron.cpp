// SPDX-License-Identifier: Apache-2.0
// Nemotron: LayerNorm with weight + 1 and bias, squared ReLU without a gate, half of each head rotated. Older
// converters use other names for some keys.
#include "core/base/error.hpp"
#include "core/model/families/decoder_family.hpp"

namespace espalier {
namespace {

class Nemotron final : public DecoderFamily {
 public:
  std::string name() const override { return "nemotron"; }
  ModelSpec blank() const override {
    ModelSpec spec;
    spec.family = name();
    spec.max_positions = 4096;
    spec.norm = Norm::layernorm_1p;
    spec.norm_eps = 1e-5;
    spec.activation = Activation::relu2;
    spec.gated = false;
    spec.rope.partial = 0.5;
    return spec;
  }
  void check(const ModelSpec& spec, const std::string& source) const override {
    DecoderFamily::check(spec, source);
    if (spec.qkv_bias != spec.o_bias) {
      fail(
          "{}: family 'nemotron' has one key for all attention biases; got qkv_bias {} and o_bias {}; expected equal "
          "ones",
          source, spec.qkv_bias, spec.o_bias);
    }
  }

 protected:
  std::string architecture() const override { return "NemotronForCausalLM"; }
  std::vector<std::string> eps_keys() const override { return {"norm_eps", "layer_norm_eps"}; }
  std::vector<std::string> head_dim_keys() const override { return {"head_dim", "kv_channels"}; }
  std::vector<std::string> partial_keys() const override {
    return {"partial_rotary_factor", "rope_percentage", "rope_percent"};
  }
  bool partial_rotary() const override { return true; }
  std::int64_t default_kv_heads(std::int64_t) const override { return 0; }
  void read_details(const ConfigReader& config, ModelSpec& spec) const override {
    spec.qkv_bias = spec.o_bias = config.flag("attention_bias", false);
    spec.mlp_bias = config.flag("mlp_bias", false);
  }
  void write_details(const ModelSpec& spec, nlohmann::json& config) const override {
    config["attention_bias"] = spec.qkv_bias;
    config["mlp_bias"] = spec.mlp_bias;
  }
};

}  // namespace

const Family& nemotron_family() {
  static const Nemotron family;
  return family;
}

}  // namespace espalier
