// SPDX-License-Identifier: Apache-2.0
// Tiny checkpoints with random weights, one for each family.
#pragma once

#include <cstdint>
#include <string>

#include "core/checkpoint/checkpoint.hpp"

namespace espalier {

// A spec of the family with odd sizes: 3 layers, hidden 24, 2 KV groups of 3 heads, head_dim 6 (not hidden / heads).
ModelSpec tiny_spec(const std::string& family);

// Writes `spec` with weights that are random everywhere (norms and biases too) and returns the folder.
fs::path write_tiny(const fs::path& folder, const ModelSpec& spec, std::uint64_t seed,
                    at::ScalarType dtype = at::kFloat);

}  // namespace espalier
