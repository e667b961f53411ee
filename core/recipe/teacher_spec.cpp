// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/teacher_spec.hpp"

namespace espalier {
namespace {

struct FamilyTraits {
  const char* name;
  Norm norm;
  Activation activation;
  bool gated, qkv_bias, qk_norm;
  double partial;  // of head_dim that is rotated
};

constexpr FamilyTraits kFamilies[] = {
    {"llama", Norm::rms, Activation::silu, true, false, false, 1.0},
    {"mistral", Norm::rms, Activation::silu, true, false, false, 1.0},
    {"qwen2", Norm::rms, Activation::silu, true, true, false, 1.0},
    {"qwen3", Norm::rms, Activation::silu, true, false, true, 1.0},
    {"nemotron", Norm::layernorm_1p, Activation::relu2, false, false, false, 0.5},
};

}  // namespace

std::vector<std::string> spec_families() {
  std::vector<std::string> names;
  for (const FamilyTraits& family : kFamilies) names.emplace_back(family.name);
  return names;
}

ModelSpec to_spec(const SpecFields& fields) {
  ModelSpec spec;
  spec.family = fields.family;
  spec.hidden = fields.hidden;
  spec.vocab = fields.vocab;
  spec.max_positions = fields.max_positions;
  spec.tied = fields.tied;
  spec.norm_eps = fields.norm_eps;
  spec.rope.theta = fields.rope_theta;
  for (const FamilyTraits& family : kFamilies) {
    if (fields.family != family.name) continue;
    spec.norm = family.norm;
    spec.activation = family.activation;
    spec.gated = family.gated;
    spec.qkv_bias = family.qkv_bias;
    spec.qk_norm = family.qk_norm;
    spec.rope.partial = family.partial;
  }
  LayerSpec layer;
  layer.kv_groups = fields.kv_groups;
  layer.heads_per_group = fields.heads / fields.kv_groups;
  layer.head_dim = fields.head_dim;
  layer.ffn = fields.ffn;
  spec.layers.assign(static_cast<std::size_t>(fields.layers), layer);
  return spec;
}

SpecFields from_spec(const ModelSpec& spec) {
  const LayerSpec layer = spec.layers.empty() ? LayerSpec{} : spec.layers.front();
  SpecFields fields;
  fields.family = spec.family;
  fields.layers = static_cast<std::int64_t>(spec.layers.size());
  fields.hidden = spec.hidden;
  fields.heads = layer.heads();
  fields.kv_groups = layer.kv_groups;
  fields.head_dim = layer.head_dim;
  fields.ffn = layer.ffn;
  fields.vocab = spec.vocab;
  fields.max_positions = spec.max_positions;
  fields.tied = spec.tied;
  fields.rope_theta = spec.rope.theta;
  fields.norm_eps = spec.norm_eps;
  return fields;
}

}  // namespace espalier
