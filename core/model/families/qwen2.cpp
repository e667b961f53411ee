// SPDX-License-Identifier: Apache-2.0
// Qwen 2: as Llama, with biases on q, k and v always, on o never; windows on the later layers only.
#include <algorithm>

#include "core/base/error.hpp"
#include "core/model/families/decoder_family.hpp"

namespace espalier {
namespace {

class Qwen2 final : public DecoderFamily {
 public:
  std::string name() const override { return "qwen2"; }
  ModelSpec blank() const override {
    ModelSpec spec;
    spec.family = name();
    spec.max_positions = 32768;
    spec.norm_eps = 1e-6;
    spec.qkv_bias = true;
    return spec;
  }
  void check(const ModelSpec& spec, const std::string& source) const override {
    DecoderFamily::check(spec, source);
    check_qwen_windows(spec, source);
    if (!spec.qkv_bias || spec.o_bias || spec.mlp_bias) {
      fail(
          "{}: family 'qwen2' has biases on q, k and v, and no others; got qkv_bias {}, o_bias {}, mlp_bias {}; "
          "expected true, false, false",
          source, spec.qkv_bias, spec.o_bias, spec.mlp_bias);
    }
  }

 protected:
  std::string architecture() const override { return "Qwen2ForCausalLM"; }
  std::int64_t default_kv_heads(std::int64_t) const override { return 32; }
  bool windows() const override { return true; }
  void read_windows(const ConfigReader& config, ModelSpec& spec) const override { read_qwen_windows(config, spec); }
  void write_windows(const ModelSpec& spec, nlohmann::json& config) const override { write_qwen_windows(spec, config); }
  void read_details(const ConfigReader&, ModelSpec&) const override {}
  void write_details(const ModelSpec&, nlohmann::json&) const override {}
};

}  // namespace

void read_qwen_windows(const ConfigReader& config, ModelSpec& spec) {
  const bool used = config.flag("use_sliding_window", false);
  const std::int64_t missing = config.mentions("sliding_window") ? 0 : 4096;
  const std::int64_t given = config.has("sliding_window") ? config.size("sliding_window") : missing;
  const std::int64_t window = used ? given : 0;
  const auto first = static_cast<std::size_t>(config.index("max_window_layers", 28));
  const std::vector<bool> sliding = read_sliding_layers(config, spec.layers.size());
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const bool slides = sliding.empty() ? window > 0 && i >= first : sliding[i];
    if (slides && window == 0) {
      fail(
          "{}: layer_types and sliding_window contradict each other; got \"sliding_attention\" in layer {} without a "
          "window; expected use_sliding_window and sliding_window",
          config.source(), i);
    }
    spec.layers[i].sliding_window = slides ? window : 0;
  }
}

void check_qwen_windows(const ModelSpec& spec, const std::string& source) {
  std::int64_t window = 0;
  for (const LayerSpec& layer : spec.layers) {
    if (layer.sliding_window == 0) continue;
    if (window != 0 && window != layer.sliding_window) {
      fail("{}: family '{}' has one sliding window for all layers that have one; got {} and {}; expected equal ones",
           source, spec.family, window, layer.sliding_window);
    }
    window = layer.sliding_window;
  }
}

void write_qwen_windows(const ModelSpec& spec, nlohmann::json& config) {
  std::int64_t window = 0;
  std::size_t first = spec.layers.size();
  nlohmann::json types = nlohmann::json::array();
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const std::int64_t here = spec.layers[i].sliding_window;
    types.push_back(here > 0 ? "sliding_attention" : "full_attention");
    if (here == 0) continue;
    window = here;
    first = std::min(first, i);
  }
  config["use_sliding_window"] = window > 0;
  config["sliding_window"] = window > 0 ? nlohmann::json(window) : nlohmann::json();
  config["max_window_layers"] = first;
  config["layer_types"] = types;
}

const Family& qwen2_family() {
  static const Qwen2 family;
  return family;
}

}  // namespace espalier
