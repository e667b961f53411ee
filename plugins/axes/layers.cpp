// SPDX-License-Identifier: Apache-2.0
#include "layers.hpp"

namespace espalier::plugins {

AxisInfo LayersAxis::describe() const {
  return {.name = "layers",
          .unit = "layer",
          .dims = {Dim::layers},
          .shared = true,
          .one_run = options_.contiguous,
          .taps = {},
          .hugging_face_name = "num_hidden_layers",
          .megatron_name = "num_layers"};
}

}  // namespace espalier::plugins
