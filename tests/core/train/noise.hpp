// SPDX-License-Identifier: Apache-2.0
// Random tensors, and how far apart two are.
#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace espalier::reference {

inline at::Tensor noise(at::IntArrayRef shape, std::uint64_t seed, at::ScalarType dtype = at::kFloat,
                        double scale = 1.0) {
  auto generator = at::detail::createCPUGenerator(seed);
  return (at::randn(shape, generator, at::kDouble) * scale).to(dtype);
}

inline double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace espalier::reference
