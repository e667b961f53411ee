// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "espalier/sdk/spec.hpp"

namespace espalier {

// [teacher].spec as a recipe writes it: a uniform model in which `heads` counts all query heads.
struct SpecFields {
  std::string family;
  std::int64_t layers = 0, hidden = 0, heads = 0, kv_groups = 0, head_dim = 0, ffn = 0, vocab = 0, max_positions = 0;
  bool tied = false;
  double rope_theta = 0.0, norm_eps = 0.0;
};

std::vector<std::string> spec_families();

// What the numbers do not say (norm, gate, biases, share of the head that is rotated) comes from the family's
// published models. The fields are in range; kv_groups divides heads.
ModelSpec to_spec(const SpecFields& fields);
SpecFields from_spec(const ModelSpec& spec);

}  // namespace espalier
