// SPDX-License-Identifier: Apache-2.0
#include "ffn.hpp"

namespace espalier::plugins {

AxisInfo FfnAxis::describe() const {
  return {.name = "ffn",
          .unit = "neuron",
          .dims = {Dim::ffn},
          .shared = false,
          .taps = {Tap::fc2_input, Tap::pre_activation, Tap::up_output},
          .hugging_face_name = "intermediate_size",
          .megatron_name = "ffn_hidden_size"};
}

std::int64_t FfnAxis::step(const ModelSpec&) const { return granularity(); }

LayerSpec FfnAxis::cut(const LayerSpec& layer, const std::vector<std::int64_t>& kept, const std::string&) const {
  LayerSpec smaller = layer;
  smaller.ffn = static_cast<std::int64_t>(kept.size());
  return smaller;
}

}  // namespace espalier::plugins
