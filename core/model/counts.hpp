// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/model/parameter.hpp"

namespace espalier {

// Exact numbers of a spec, from the table alone.
struct Counts {
  std::int64_t parameters = 0;
  std::int64_t non_embedding_parameters = 0;  // without embed_tokens and lm_head
  std::int64_t bytes = 0;                     // tensor data of the checkpoint in the given element size
  std::int64_t flops_per_token = 0;  // forward: 2 × matmul weights + causal attention, 2·heads·head_dim·seq per layer
  std::int64_t kv_bytes_per_token = 0;  // KV cache in the given element size
};

Counts count(const ModelSpec& spec, std::int64_t bytes_per_element, std::int64_t seq_length);

}  // namespace espalier
