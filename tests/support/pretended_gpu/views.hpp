// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace espalier::pretended_gpu {

// The same memory as a tensor of the CPU; the CPU's own as they are. Valid under Access.
at::Tensor seen_by_cpu(const at::Tensor& tensor);

// A copy on the device, with the same strides. Under Access.
at::Tensor moved(const at::Tensor& result);

}  // namespace espalier::pretended_gpu
