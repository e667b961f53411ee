// SPDX-License-Identifier: Apache-2.0
// What a plugin sees of a model: its shape in named dimensions. No weights, no files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/error.hpp"

namespace at {
class Tensor;
}

namespace espalier {
inline namespace abi_2 {

// A named extent that tensors share. A tensor's dimension is a product of these, outermost first:
// rows of q_proj are kv_groups × heads_per_group × head_dim.
enum class Dim { hidden, ffn, kv_groups, heads_per_group, head_dim, vocab, layers };

// A point of the forward pass where activations can be seen. Its last tensor dimension is the product named beside it.
enum class Tap {
  none,
  norm_output,  // hidden                              output of each layer's norms, after scale and bias; not the final
                // norm
  pre_activation,  // ffn                                 input of the non-linearity (gate_proj's output in a gated MLP)
  up_output,       // ffn                                 up_proj's output, the factor of a gated MLP
  fc2_input,       // ffn                                 input of down_proj
  o_proj_input,    // kv_groups × heads_per_group × head_dim   the heads' outputs, concatenated
};

// What an axis of layers removes of a layer.
enum class Part { whole, attention, mlp };

enum class Norm { rms, layernorm_1p };  // layernorm_1p scales by (weight + 1)
enum class Activation { silu, relu2 };

// Rotary position embedding. Frequencies are theta^(-2i/rotary) with rotary = int(head_dim * partial).
struct Rope {
  std::string type = "default";  // "default", "linear" or "llama3"
  double theta = 10000.0;
  double partial = 1.0;                        // share of head_dim that is rotated
  double factor = 1.0;                         // linear, llama3
  double low_freq_factor = 1.0;                // llama3
  double high_freq_factor = 4.0;               // llama3
  std::int64_t original_max_positions = 8192;  // llama3
  bool operator==(const Rope&) const = default;
};

// One decoder layer. Query heads = kv_groups × heads_per_group.
struct LayerSpec {
  std::int64_t kv_groups = 0;
  std::int64_t heads_per_group = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn = 0;
  std::int64_t sliding_window = 0;  // keys a query may see, itself included; 0: all before it
  bool attention = true;
  bool mlp = true;
  std::int64_t heads() const { return kv_groups * heads_per_group; }
  bool operator==(const LayerSpec&) const = default;
};

// The architecture as numbers.
struct ModelSpec {
  std::string family;  // Hugging Face `model_type`
  std::int64_t hidden = 0;
  std::int64_t vocab = 0;
  std::int64_t max_positions = 0;
  bool tied = false;  // lm_head is embed_tokens
  std::vector<LayerSpec> layers;

  Norm norm = Norm::rms;
  double norm_eps = 1e-5;
  Activation activation = Activation::silu;
  bool gated = true;  // MLP is down(act(gate) * up), else down(act(up))
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;  // RMSNorm per head on q and k, before the rotation
  Rope rope;

  bool operator==(const ModelSpec&) const = default;

  bool uniform() const {
    for (const LayerSpec& layer : layers) {
      if (!(layer == layers.front())) return false;
    }
    return true;
  }
};

// Importance of an axis's units; larger is more important. Every tensor is (units) float32 on the CPU.
// `per_layer` has one tensor for each layer, or a single one when the axis is shared by all layers.
struct Scores {
  std::vector<at::Tensor> per_layer;
};

// Kept unit indices, ascending and 0-based: one list for each layer, or a single one when the axis is shared.
struct Selection {
  std::vector<std::vector<std::int64_t>> kept;
  bool operator==(const Selection&) const = default;
};

}  // namespace abi_2

inline const char* name_of(Dim dim) {
  constexpr const char* names[] = {"hidden", "ffn", "kv_groups", "heads_per_group", "head_dim", "vocab", "layers"};
  return names[static_cast<int>(dim)];
}

inline const char* name_of(Part part) {
  constexpr const char* names[] = {"layer", "attention", "mlp"};
  return names[static_cast<int>(part)];
}

inline const char* name_of(Tap tap) {
  constexpr const char* names[] = {"none", "norm_output", "pre_activation", "up_output", "fc2_input", "o_proj_input"};
  return names[static_cast<int>(tap)];
}

}  // namespace espalier
