// SPDX-License-Identifier: Apache-2.0
// The table everything follows from: every tensor of a model with the named dimensions of each of its axes.
// Counting, loading, slicing and masking read it; nothing repeats it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {

// What a tensor is for, the same in every family.
enum class Role {
  embed,
  attn_norm,
  attn_norm_bias,
  q,
  k,
  v,
  o,
  q_bias,
  k_bias,
  v_bias,
  o_bias,
  q_norm,
  k_norm,
  mlp_norm,
  mlp_norm_bias,
  gate,
  up,
  down,
  gate_bias,
  up_bias,
  down_bias,
  final_norm,
  final_norm_bias,
  head,
  count  // number of roles
};

// A dimension of a tensor: a product of named dimensions, outermost first.
using DimProduct = std::vector<Dim>;

struct Parameter {
  std::string name;  // in the checkpoint
  Role role = Role::embed;
  std::int64_t layer = -1;  // -1: outside the layers
  std::vector<DimProduct> dims;
  std::vector<std::int64_t> shape;  // dims as numbers
  std::int64_t elements() const;
};

// Extent of a named dimension in a layer. Layer -1: of the whole model; for what layers have, the extent that all
// layers with that part share (Error when they differ, 0 when none has it).
std::int64_t extent_of(const ModelSpec& spec, std::int64_t layer, Dim dim);
std::int64_t extent_of(const ModelSpec& spec, std::int64_t layer, const DimProduct& product);

// The product that a tap's last tensor dimension is.
DimProduct dims_of(Tap tap);

// Every tensor of the model, in file order: embedding, layers, final norm, head (absent when tied).
// Names are those that all supported families share.
std::vector<Parameter> parameters(const ModelSpec& spec);

// One tensor of that table, without making the rest; nullopt: the model has none.
std::optional<Parameter> find_parameter(const ModelSpec& spec, Role role, std::int64_t layer);

}  // namespace espalier
