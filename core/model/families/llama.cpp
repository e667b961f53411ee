// SPDX-License-Identifier: Apache-2.0
// Llama: RMSNorm, gated SiLU, optional biases. One key for the biases of q, k, v and o.
#include "core/base/error.hpp"
#include "core/model/families/decoder_family.hpp"

namespace espalier {
namespace {

class Llama final : public DecoderFamily {
 public:
  std::string name() const override { return "llama"; }
  ModelSpec blank() const override {
    ModelSpec spec;
    spec.family = name();
    spec.max_positions = 2048;
    spec.norm_eps = 1e-6;
    return spec;
  }
  void check(const ModelSpec& spec, const std::string& source) const override {
    DecoderFamily::check(spec, source);
    if (spec.qkv_bias != spec.o_bias) {
      fail(
          "{}: family 'llama' has one key for all attention biases; got qkv_bias {} and o_bias {}; expected equal ones",
          source, spec.qkv_bias, spec.o_bias);
    }
  }

 protected:
  std::string architecture() const override { return "LlamaForCausalLM"; }
  void read_details(const ConfigReader& config, ModelSpec& spec) const override {
    spec.qkv_bias = spec.o_bias = config.flag("attention_bias", false);
    spec.mlp_bias = config.flag("mlp_bias", false);
  }
  void write_details(const ModelSpec& spec, nlohmann::json& config) const override {
    config["attention_bias"] = spec.qkv_bias;
    config["mlp_bias"] = spec.mlp_bias;
    config["pretraining_tp"] = 1;  // only splits a product into partial sums
  }
};

}  // namespace

const Family& llama_family() {
  static const Llama family;
  return family;
}

}  // namespace espalier
