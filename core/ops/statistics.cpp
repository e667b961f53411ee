// SPDX-License-Identifier: Apache-2.0
#include "core/ops/statistics.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "core/base/error.hpp"
#include "core/ops/device_kernels.hpp"

namespace espalier {

at::Tensor channel_statistics(const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  ESPALIER_CHECK(x.dim() == 3, "statistics of ", x.sizes());
  const at::TensorOptions wide = x.options().dtype(at::kDouble).requires_grad(false);
  if (x.numel() == 0) return at::zeros({x.size(0), 4, x.size(2)}, wide);
  if (const DeviceKernels* kernels = device_kernels(x)) {
    const at::Tensor out = at::empty({x.size(0), 4, x.size(2)}, wide);
    kernels->statistics({x.contiguous(), out});
    return out;
  }
  const at::Tensor values = x.to(at::kDouble), mean = values.mean(1);
  const at::Tensor deviations = (values - mean.unsqueeze(1)).square().sum(1);
  return at::stack({values.abs().sum(1), values.square().sum(1), mean, deviations}, 1);
}

at::Tensor gathered(const at::Tensor& x, std::int64_t dim, const at::Tensor& index) {
  const at::NoGradGuard no_grad;
  const DeviceKernels* kernels = device_kernels(x);
  if (kernels == nullptr || x.dim() == 0) return at::index_select(x, dim, index);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[static_cast<std::size_t>(dim)] = index.numel();
  const at::Tensor out = at::empty(shape, x.options().requires_grad(false));
  kernels->gather({.x = x.contiguous(), .index = index.contiguous(), .out = out, .dim = dim});
  return out;
}

}  // namespace espalier
