// SPDX-License-Identifier: Apache-2.0
#include "kv_groups.hpp"

namespace espalier::plugins {

AxisInfo KvGroupsAxis::describe() const {
  return {.name = "kv_groups",
          .unit = "KV group",
          .dims = {Dim::kv_groups},
          .shared = false,
          .taps = {Tap::o_proj_input},
          .hugging_face_name = "num_key_value_heads",
          .megatron_name = "num_query_groups"};
}

std::int64_t KvGroupsAxis::step(const ModelSpec&) const { return granularity(); }

LayerSpec KvGroupsAxis::cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept, const std::string&) const {
  LayerSpec smaller = layer;
  smaller.kv_groups = static_cast<std::int64_t>(kept.size());
  return smaller;
}

}  // namespace espalier::plugins
