// SPDX-License-Identifier: Apache-2.0
#include "core/prune/sliced_weights.hpp"

#include <ATen/ATen.h>

#include "core/prune/slicer.hpp"

namespace espalier {

SlicedWeights::SlicedWeights(const Checkpoint& teacher, Plan plan, Compute compute)
    : teacher_(teacher), plan_(std::move(plan)), compute_(compute), parameters_(parameters(plan_.student)) {}

Weights SlicedWeights::outer() {
  Weights weights = layer(-1);
  tie(spec(), weights);
  return weights;
}

Weights SlicedWeights::layer(std::int64_t layer) {
  const at::NoGradGuard no_grad;
  Weights weights;
  for (const Parameter& parameter : parameters_) {
    if (parameter.layer != layer) continue;
    const TensorSlice slice(teacher_, plan_, parameter);
    at::Tensor tensor = at::empty(parameter.shape, at::device(compute_.device).dtype(compute_.dtype));
    for (std::int64_t i = 0; i < slice.blocks(); ++i) {
      const at::Tensor block = slice.block(i, compute_.device);
      tensor.narrow(0, slice.first_row(i), block.size(0)).copy_(block);
    }
    teacher_.forget(slice.source());
    weights[parameter.role] = tensor;
  }
  return weights;
}

}  // namespace espalier
