// SPDX-License-Identifier: Apache-2.0
// Axes of layers: which layers their units are, and which tensors belong to a part of a layer.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model/parameter.hpp"
#include "espalier/sdk/axis.hpp"

namespace espalier {

bool is_layers(const AxisInfo& axis);

// Does the layer have the part? Every layer is a whole.
bool has_part(const LayerSpec& layer, Part part);

// The units of an axis of layers: the layers that have its part, ascending.
std::vector<std::int64_t> layers_with(const ModelSpec& spec, Part part);

// The spec with this part of the layer off; `whole` turns both parts off, which leaves an identity.
void turn_off(LayerSpec& layer, Part part);

// Does a tensor of a layer belong to the part? Its norm does, too.
bool is_of_part(Role role, Part part);

// Does the layer have the part that dimensions of a width belong to? hidden and vocab are outside the parts.
bool has_dims(const LayerSpec& layer, const std::vector<Dim>& dims);

}  // namespace espalier
