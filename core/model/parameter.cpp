// SPDX-License-Identifier: Apache-2.0
#include "core/model/parameter.hpp"

#include <iterator>

#include "core/base/error.hpp"

namespace espalier {
namespace {

const DimProduct kHidden = {Dim::hidden};
const DimProduct kFfn = {Dim::ffn};
const DimProduct kVocab = {Dim::vocab};
const DimProduct kHeadDim = {Dim::head_dim};
const DimProduct kQueries = {Dim::kv_groups, Dim::heads_per_group, Dim::head_dim};
const DimProduct kKeys = {Dim::kv_groups, Dim::head_dim};

struct Row {
  bool present;
  Role role;
  const char* name;  // inside the layer
  std::vector<DimProduct> dims;
};

std::vector<Row> layer_rows(const ModelSpec& spec, const LayerSpec& layer) {
  const bool a = layer.attention, m = layer.mlp, norm_bias = spec.norm == Norm::layernorm_1p;
  const bool qkv_bias = a && spec.qkv_bias, mlp_bias = m && spec.mlp_bias;
  return {
      {a, Role::attn_norm, "input_layernorm.weight", {kHidden}},
      {a && norm_bias, Role::attn_norm_bias, "input_layernorm.bias", {kHidden}},
      {a, Role::q, "self_attn.q_proj.weight", {kQueries, kHidden}},
      {a, Role::k, "self_attn.k_proj.weight", {kKeys, kHidden}},
      {a, Role::v, "self_attn.v_proj.weight", {kKeys, kHidden}},
      {a, Role::o, "self_attn.o_proj.weight", {kHidden, kQueries}},
      {qkv_bias, Role::q_bias, "self_attn.q_proj.bias", {kQueries}},
      {qkv_bias, Role::k_bias, "self_attn.k_proj.bias", {kKeys}},
      {qkv_bias, Role::v_bias, "self_attn.v_proj.bias", {kKeys}},
      {a && spec.o_bias, Role::o_bias, "self_attn.o_proj.bias", {kHidden}},
      {a && spec.qk_norm, Role::q_norm, "self_attn.q_norm.weight", {kHeadDim}},
      {a && spec.qk_norm, Role::k_norm, "self_attn.k_norm.weight", {kHeadDim}},
      {m, Role::mlp_norm, "post_attention_layernorm.weight", {kHidden}},
      {m && norm_bias, Role::mlp_norm_bias, "post_attention_layernorm.bias", {kHidden}},
      {m && spec.gated, Role::gate, "mlp.gate_proj.weight", {kFfn, kHidden}},
      {m, Role::up, "mlp.up_proj.weight", {kFfn, kHidden}},
      {m, Role::down, "mlp.down_proj.weight", {kHidden, kFfn}},
      {mlp_bias && spec.gated, Role::gate_bias, "mlp.gate_proj.bias", {kFfn}},
      {mlp_bias, Role::up_bias, "mlp.up_proj.bias", {kFfn}},
      {mlp_bias, Role::down_bias, "mlp.down_proj.bias", {kHidden}},
  };
}

bool has_part(const LayerSpec& layer, Dim dim) { return dim == Dim::ffn ? layer.mlp : layer.attention; }

std::int64_t extent_in(const LayerSpec& layer, Dim dim) {
  switch (dim) {
    case Dim::ffn:
      return layer.ffn;
    case Dim::kv_groups:
      return layer.kv_groups;
    case Dim::heads_per_group:
      return layer.heads_per_group;
    default:
      return layer.head_dim;
  }
}

std::int64_t shared_extent(const ModelSpec& spec, Dim dim) {
  std::int64_t extent = 0;
  for (const LayerSpec& layer : spec.layers) {
    if (!has_part(layer, dim)) continue;
    const std::int64_t here = extent_in(layer, dim);
    if (extent != 0 && here != extent) {
      fail("layers differ in {}; got {} and {}; expected one extent for what all layers share", name_of(dim), extent,
           here);
    }
    extent = here;
  }
  return extent;
}

Parameter make_parameter(const ModelSpec& spec, std::int64_t layer, Role role, std::string name,
                         std::vector<DimProduct> dims) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.role = role;
  parameter.layer = layer;
  for (const DimProduct& product : dims) parameter.shape.push_back(extent_of(spec, layer, product));
  parameter.dims = std::move(dims);
  return parameter;
}

std::vector<Parameter> before_layers(const ModelSpec& spec) {
  return {make_parameter(spec, -1, Role::embed, "model.embed_tokens.weight", {kVocab, kHidden})};
}

std::vector<Parameter> of_layer(const ModelSpec& spec, std::int64_t layer) {
  std::vector<Parameter> table;
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  for (Row& row : layer_rows(spec, spec.layers[static_cast<std::size_t>(layer)])) {
    if (row.present) table.push_back(make_parameter(spec, layer, row.role, prefix + row.name, std::move(row.dims)));
  }
  return table;
}

std::vector<Parameter> after_layers(const ModelSpec& spec) {
  std::vector<Parameter> table = {make_parameter(spec, -1, Role::final_norm, "model.norm.weight", {kHidden})};
  const bool norm_bias = spec.norm == Norm::layernorm_1p;
  if (norm_bias) table.push_back(make_parameter(spec, -1, Role::final_norm_bias, "model.norm.bias", {kHidden}));
  if (!spec.tied) table.push_back(make_parameter(spec, -1, Role::head, "lm_head.weight", {kVocab, kHidden}));
  return table;
}

void append(std::vector<Parameter>& table, std::vector<Parameter> rows) {
  table.insert(table.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
}

}  // namespace

std::int64_t Parameter::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

std::int64_t extent_of(const ModelSpec& spec, std::int64_t layer, Dim dim) {
  switch (dim) {
    case Dim::hidden:
      return spec.hidden;
    case Dim::vocab:
      return spec.vocab;
    case Dim::layers:
      return static_cast<std::int64_t>(spec.layers.size());
    default:
      break;
  }
  if (layer == -1) return shared_extent(spec, dim);
  ESPALIER_CHECK(layer >= 0 && layer < static_cast<std::int64_t>(spec.layers.size()), "dimension ", name_of(dim),
                 " of layer ", layer);
  return extent_in(spec.layers[static_cast<std::size_t>(layer)], dim);
}

std::int64_t extent_of(const ModelSpec& spec, std::int64_t layer, const DimProduct& product) {
  std::int64_t extent = 1;
  for (const Dim dim : product) extent *= extent_of(spec, layer, dim);
  return extent;
}

DimProduct dims_of(Tap tap) {
  switch (tap) {
    case Tap::norm_output:
      return kHidden;
    case Tap::pre_activation:
    case Tap::up_output:
    case Tap::fc2_input:
      return kFfn;
    case Tap::o_proj_input:
      return kQueries;
    case Tap::none:
      break;
  }
  return {};
}

std::vector<Parameter> parameters(const ModelSpec& spec) {
  std::vector<Parameter> table = before_layers(spec);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) append(table, of_layer(spec, static_cast<std::int64_t>(i)));
  append(table, after_layers(spec));
  return table;
}

std::optional<Parameter> find_parameter(const ModelSpec& spec, Role role, std::int64_t layer) {
  std::vector<Parameter> rows = layer < 0 ? before_layers(spec) : of_layer(spec, layer);
  if (layer < 0) append(rows, after_layers(spec));
  for (Parameter& row : rows) {
    if (row.role == role) return std::move(row);
  }
  return std::nullopt;
}

}  // namespace espalier
