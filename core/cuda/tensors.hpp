// SPDX-License-Identifier: Apache-2.0
// Tensors to pointers: the table of core/ops/device_kernels.hpp over the launchers of kernels.hpp.
#pragma once

#include "core/ops/device_kernels.hpp"

namespace espalier::cuda {

extern const DeviceKernels kKernels;

}  // namespace espalier::cuda
