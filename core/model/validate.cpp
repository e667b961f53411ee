// SPDX-License-Identifier: Apache-2.0
#include "core/model/validate.hpp"

#include <cmath>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/model/families/decoder_family.hpp"

namespace espalier {
namespace {

constexpr std::size_t kMaxLayers = 10000;
constexpr double kMaxBytes = 9e18;  // of a model, at 8 bytes an element: below 2^63

void check_size(const std::string& source, const std::string& what, std::int64_t value) {
  if (value < 1 || value > kMaxSize) {
    fail("{}: {} is not valid; got {}; expected 1 to {}", source, what, value, kMaxSize);
  }
}

void check_layer(const ModelSpec& spec, std::size_t index, const std::string& source) {
  const LayerSpec& layer = spec.layers[index];
  const std::string where = " of layer " + std::to_string(index);
  if (layer.attention) {
    check_size(source, "kv_groups" + where, layer.kv_groups);
    check_size(source, "heads_per_group" + where, layer.heads_per_group);
    check_size(source, "head_dim" + where, layer.head_dim);
    const double rotary = std::floor(static_cast<double>(layer.head_dim) * spec.rope.partial);
    if (spec.rope.partial > 1 || rotary < 2 || std::fmod(rotary, 2) != 0) {
      fail("{}: rotated channels of a head{} are not an even number; got {} of head_dim {}; expected 2, 4, …", source,
           where, rotary, layer.head_dim);
    }
  }
  if (layer.mlp) check_size(source, "ffn" + where, layer.ffn);
  if (layer.sliding_window < 0 || layer.sliding_window > kMaxSize) {
    fail("{}: sliding window{} is not valid; got {}; expected 0 to {}", source, where, layer.sliding_window, kMaxSize);
  }
}

// In floating point, which cannot overflow here; only the order of magnitude matters.
void check_total(const ModelSpec& spec, const std::string& source) {
  const auto real = [](std::int64_t value) { return static_cast<double>(value); };
  const double hidden = real(spec.hidden);
  double elements = 2 * real(spec.vocab) * hidden;
  for (const LayerSpec& layer : spec.layers) {
    const double group = real(layer.heads_per_group) + 1;
    elements += 2 * real(layer.kv_groups) * group * real(layer.head_dim) * (hidden + 1);
    elements += 3 * real(layer.ffn) * (hidden + 1) + 4 * hidden;
  }
  if (elements * 8 > kMaxBytes) fail("{}: sizes are too large; got about {:.1e} parameters", source, elements);
}

void check_rope(const Rope& rope, const std::string& source) {
  const auto above_zero = [&](const char* name, double value) {
    if (!std::isfinite(value) || value <= 0) {
      fail("{}: {} is not valid; got {}; expected a number above 0", source, name, value);
    }
  };
  above_zero("rope theta", rope.theta);
  above_zero("rope partial", rope.partial);
  above_zero("rope factor", rope.factor);
  if (rope.type != "llama3") return;
  above_zero("rope low_freq_factor", rope.low_freq_factor);
  above_zero("rope high_freq_factor", rope.high_freq_factor);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    fail("{}: high_freq_factor is not above low_freq_factor; got {} and {}; expected a larger high_freq_factor", source,
         rope.high_freq_factor, rope.low_freq_factor);
  }
}

}  // namespace

void validate(const ModelSpec& spec, const std::string& source) {
  const Family& of = family(spec.family, source);
  check_size(source, "hidden", spec.hidden);
  check_size(source, "vocab", spec.vocab);
  check_size(source, "max_positions", spec.max_positions);
  if (spec.layers.empty() || spec.layers.size() > kMaxLayers) {
    fail("{}: number of layers is not valid; got {}; expected 1 to {}", source, spec.layers.size(), kMaxLayers);
  }
  if (!std::isfinite(spec.norm_eps) || spec.norm_eps <= 0) {
    fail("{}: norm_eps is not valid; got {}; expected a number above 0", source, spec.norm_eps);
  }
  check_rope(spec.rope, source);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) check_layer(spec, i, source);
  check_total(spec, source);
  of.check(spec, source);
}

}  // namespace espalier
