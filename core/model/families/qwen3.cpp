// SPDX-License-Identifier: Apache-2.0
// Qwen 3: RMSNorm on each head of q and k before the rotation; attention biases are optional, on q, k, v and o.
#include "core/base/error.hpp"
#include "core/model/families/decoder_family.hpp"

namespace espalier {
namespace {

class Qwen3 final : public DecoderFamily {
 public:
  std::string name() const override { return "qwen3"; }
  ModelSpec blank() const override {
    ModelSpec spec;
    spec.family = name();
    spec.max_positions = 32768;
    spec.norm_eps = 1e-6;
    spec.qk_norm = true;
    return spec;
  }
  void check(const ModelSpec& spec, const std::string& source) const override {
    DecoderFamily::check(spec, source);
    check_qwen_windows(spec, source);
    if (spec.qkv_bias != spec.o_bias || spec.mlp_bias) {
      fail(
          "{}: family 'qwen3' has one key for all attention biases and none in the MLP; got qkv_bias {}, o_bias {}, "
          "mlp_bias {}; expected equal ones and false",
          source, spec.qkv_bias, spec.o_bias, spec.mlp_bias);
    }
  }

 protected:
  std::string architecture() const override { return "Qwen3ForCausalLM"; }
  std::int64_t default_kv_heads(std::int64_t) const override { return 32; }
  std::int64_t default_head_dim(std::int64_t, std::int64_t, const std::string&) const override { return 128; }
  bool windows() const override { return true; }
  void read_windows(const ConfigReader& config, ModelSpec& spec) const override { read_qwen_windows(config, spec); }
  void write_windows(const ModelSpec& spec, nlohmann::json& config) const override { write_qwen_windows(spec, config); }
  void read_details(const ConfigReader& config, ModelSpec& spec) const override {
    spec.qkv_bias = spec.o_bias = config.flag("attention_bias", false);
  }
  void write_details(const ModelSpec& spec, nlohmann::json& config) const override {
    config["attention_bias"] = spec.qkv_bias;
  }
};

}  // namespace

const Family& qwen3_family() {
  static const Qwen3 family;
  return family;
}

}  // namespace espalier
