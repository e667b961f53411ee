// SPDX-License-Identifier: Apache-2.0
#include "core/model/counts.hpp"

#include <algorithm>

namespace espalier {
namespace {

// Attention of one layer, forward, per token: q·k and p·v over the mean number of keys a query sees. That is seq/2
// without a window and w − w²/(2·seq) with one.
std::int64_t attention_flops(const LayerSpec& layer, std::int64_t seq_length) {
  if (!layer.attention || seq_length <= 0) return 0;
  const double seq = static_cast<double>(seq_length);
  const double window = layer.sliding_window > 0 ? std::min(seq, static_cast<double>(layer.sliding_window)) : seq;
  const double keys = window - window * window / (2 * seq);
  return static_cast<std::int64_t>(4.0 * static_cast<double>(layer.heads() * layer.head_dim) * keys);
}

}  // namespace

Counts count(const ModelSpec& spec, std::int64_t bytes_per_element, std::int64_t seq_length) {
  Counts counts;
  std::int64_t matmul = 0;
  for (const Parameter& parameter : parameters(spec)) {
    const std::int64_t elements = parameter.elements();
    const bool outer_matrix = parameter.role == Role::embed || parameter.role == Role::head;
    counts.parameters += elements;
    if (!outer_matrix) counts.non_embedding_parameters += elements;
    if (parameter.shape.size() == 2 && parameter.role != Role::embed) matmul += elements;
  }
  if (spec.tied) matmul += spec.vocab * spec.hidden;  // the embedding works as the head, too
  counts.bytes = counts.parameters * bytes_per_element;
  counts.flops_per_token = 2 * matmul;
  for (const LayerSpec& layer : spec.layers) {
    counts.flops_per_token += attention_flops(layer, seq_length);
    if (layer.attention) counts.kv_bytes_per_token += 2 * layer.kv_groups * layer.head_dim * bytes_per_element;
  }
  return counts;
}

}  // namespace espalier
