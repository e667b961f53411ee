// SPDX-License-Identifier: Apache-2.0
#include "core/prune/masked_teacher.hpp"

#include <ATen/ATen.h>

namespace espalier {

namespace {

at::Tensor mask_of(const Plan& plan, std::int64_t layer, const DimProduct& product) {
  const std::optional<Indices> kept = kept_positions(plan, layer, product);
  if (!kept) return {};
  at::Tensor mask = at::zeros({extent_of(plan.teacher, layer, product)}, at::kDouble);
  mask.index_fill_(0, at::tensor(*kept, at::kLong), 1.0);
  return mask;
}

at::Tensor masked(const at::Tensor& x, const at::Tensor& mask) { return mask.defined() ? x * mask : x; }

// A view of the tensor in which the axis's units are dimension 1.
at::Tensor by_unit(const at::Tensor& tensor, std::int64_t dimension, const Plan& plan, const AxisInfo& info,
                   const Fold& fold) {
  const auto at = static_cast<std::ptrdiff_t>(find_run(fold.product, info.dims).value());
  const DimProduct inside(fold.product.begin() + at + static_cast<std::ptrdiff_t>(info.dims.size()),
                          fold.product.end());
  const std::int64_t units = extent_of(plan.teacher, fold.layer, info.dims),
                     inner = extent_of(plan.teacher, fold.layer, inside);
  std::int64_t after = 1;
  for (std::int64_t d = dimension + 1; d < tensor.dim(); ++d) after *= tensor.size(d);
  return tensor.view({-1, units, inner * after});
}

// In place; float32.
void fold_into(at::Tensor& tensor, const Parameter& parameter, const Plan& plan, const AxisSelection& selection) {
  for (int dimension = 0; dimension < static_cast<int>(parameter.dims.size()); ++dimension) {
    at::Tensor before;
    for (const Fold& fold : selection.folds) {
      if (fold.layer != parameter.layer || fold.dimension != dimension) continue;
      if (fold.product != parameter.dims[static_cast<std::size_t>(dimension)]) continue;
      if (!before.defined()) before = tensor.clone();
      at::Tensor unit = by_unit(tensor, dimension, plan, selection.info, fold).select(1, fold.unit);
      const at::Tensor other = by_unit(before, dimension, plan, selection.info, fold).select(1, fold.from);
      unit.copy_(unit * fold.own + other * fold.other);
    }
  }
}

}  // namespace

FoldedTeacher::FoldedTeacher(const Checkpoint& teacher, const Plan& plan, Compute compute)
    : teacher_(teacher), plan_(plan), compute_(compute) {}

Weights FoldedTeacher::outer() {
  Weights weights = layer(-1);
  tie(spec(), weights);
  return weights;
}

Weights FoldedTeacher::layer(std::int64_t layer) {
  Weights weights;
  for (const Parameter& parameter : teacher_.parameters()) {
    if (parameter.layer != layer) continue;
    const at::Tensor stored = teacher_.tensor(parameter);
    at::Tensor tensor = stored.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    for (const AxisSelection& selection : plan_.selections) fold_into(tensor, parameter, plan_, selection);
    weights[parameter.role] = tensor.to(stored.scalar_type()).to(compute_.device, compute_.dtype);
    teacher_.forget(parameter);
  }
  return weights;
}

MaskingHooks::MaskingHooks(const Plan& plan) : plan_(plan), hidden_(mask_of(plan, -1, {Dim::hidden})) {}

at::Tensor MaskingHooks::at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) {
  return masked(x, tap == Tap::norm_output ? hidden_ : mask_of(plan_, layer, dims_of(tap)));
}

at::Tensor MaskingHooks::kept_head(std::int64_t layer) { return mask_of(plan_, layer, {Dim::head_dim}); }

at::Tensor MaskingHooks::into_residual(std::int64_t, const at::Tensor& x) { return masked(x, hidden_); }

}  // namespace espalier
