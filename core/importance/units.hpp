// SPDX-License-Identifier: Apache-2.0
// From tensors to units: an axis is a run of factors inside the product of named dimensions that a tensor's dimension
// is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include <ATen/core/Tensor.h>

#include "core/model/layer_axis.hpp"
#include "espalier/sdk/axis.hpp"

namespace espalier {

// whole = outer × units × inner
struct Split {
  std::int64_t outer = 1, units = 1, inner = 1;
  std::int64_t channels() const { return outer * inner; }  // values of one unit
};

// Where the axis's dimensions lie in `whole`; nothing when they are not a run of its factors.
std::optional<Split> split_at(const ModelSpec& spec, std::int64_t layer, const DimProduct& whole,
                              const DimProduct& axis);

// The same at a tap that the axis names. Throws Error when it does not carry the axis's dimensions.
Split split_of_tap(const ModelSpec& spec, std::int64_t layer, Tap tap, const AxisInfo& axis);

// Units of the axis in a layer (-1: in the whole model); 0 where the layer lacks the part that has them. Of an axis of
// layers: the layers that have its part.
std::int64_t units_in(const ModelSpec& spec, const AxisInfo& axis, std::int64_t layer);

// (batch, seq, outer·units·inner) → (batch, seq, units, outer·inner)
at::Tensor units_of_tap(const at::Tensor& x, const Split& split);

// Shows a weight as (units, elements) float32 pieces of bounded size, units along tensor dimension `dim`.
void for_unit_rows(const at::Tensor& weight, std::int64_t dim, const Split& split,
                   const std::function<void(const at::Tensor&)>& show);

}  // namespace espalier
