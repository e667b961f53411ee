// SPDX-License-Identifier: Apache-2.0
// The module's entry: its kernels, and what stands in the way of using them.
#include <cuda_runtime_api.h>

#include <string>

#include "core/cuda/device_problem.hpp"
#include "core/cuda/tensors.hpp"
#include "core/ops/device_module.hpp"

namespace espalier::cuda {
namespace {

std::string problem(int index) {
  DriverAnswers answers;
  answers.runtime = CUDART_VERSION;
  cudaDriverGetVersion(&answers.driver);
  const cudaError_t counted = cudaGetDeviceCount(&answers.devices);
  answers.too_old = counted == cudaErrorInsufficientDriver;
  if (counted == cudaErrorNoDevice) answers.devices = 0;
  if (counted != cudaSuccess && counted != cudaErrorNoDevice) answers.error = cudaGetErrorString(counted);
  cudaDeviceProp properties{};
  if (counted == cudaSuccess && index < answers.devices) {
    if (const cudaError_t read = cudaGetDeviceProperties(&properties, index); read != cudaSuccess) {
      answers.error = cudaGetErrorString(read);
    }
    answers.name = properties.name, answers.major = properties.major, answers.minor = properties.minor;
  }
  return device_problem(answers, index);
}

std::string description(int index) {
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) return "";
  return concat(properties.name, ", ", properties.totalGlobalMem >> 30, " GiB, compute capability ", properties.major,
                ".", properties.minor, "; kernels for " ESPALIER_CUDA_ARCHITECTURES);
}

}  // namespace
}  // namespace espalier::cuda

extern "C" {
extern ESPALIER_SDK_VISIBLE const espalier::DeviceModule espalier_device_module;
const espalier::DeviceModule espalier_device_module = {sizeof(espalier::DeviceModule), sizeof(espalier::DeviceKernels),
                                                       ESPALIER_MODULE_STAMP,          &espalier::cuda::kKernels,
                                                       &espalier::cuda::problem,       &espalier::cuda::description};
}
