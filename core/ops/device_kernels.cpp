// SPDX-License-Identifier: Apache-2.0
#include "core/ops/device_kernels.hpp"

#include <array>

namespace espalier {
namespace {

using Tables = std::array<const DeviceKernels*, c10::COMPILE_TIME_MAX_DEVICE_TYPES>;

Tables& tables() {
  static Tables tables{};
  return tables;
}

}  // namespace

void register_device_kernels(at::DeviceType device, const DeviceKernels* kernels) {
  tables()[static_cast<std::size_t>(device)] = kernels;
}

const DeviceKernels* kernels_of(at::Device device) { return tables()[static_cast<std::size_t>(device.type())]; }

const DeviceKernels* device_kernels(const at::Tensor& x) {
  const at::ScalarType dtype = x.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kHalf) return nullptr;
  return kernels_of(x.device());
}

}  // namespace espalier
