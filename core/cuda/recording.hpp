// SPDX-License-Identifier: Apache-2.0
// CUDA graphs behind the table's `record`.
#pragma once

#include <functional>
#include <memory>

#include "core/ops/device_kernels.hpp"

namespace espalier::cuda {

std::unique_ptr<Recording> record(at::Device device, const std::function<void()>& work);

}  // namespace espalier::cuda
