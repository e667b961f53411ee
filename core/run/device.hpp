// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "core/forward/model.hpp"

namespace espalier {

// "cpu": float32 on the CPU. "cuda": loads the CUDA part of LibTorch and the module espalier_cuda at run time (the
// program itself links only the CPU part, so that it starts on a machine without a driver), and computes in bfloat16
// with the module's kernels. Error says what is missing.
// `index`: the number of the GPU on this machine; a rank gives its local rank.
Compute open_device(const std::string& name, int index = 0);

// What open_device("cuda") would say: "" when a GPU can be used, else the reason.
std::string cuda_problem(int index = 0);

// The GPU and what the kernels were compiled for, in one line; when cuda_problem() is "".
std::string cuda_description(int index = 0);

// Bytes of a GPU that nobody has taken, or that LibTorch took and tensors have left.
std::int64_t free_device_bytes(at::Device device);

// The file of the module with the kernels, or "" when it was not built.
std::string cuda_module();

// <torch>/lib, where this process got LibTorch from.
fs::path torch_library_folder();

}  // namespace espalier
