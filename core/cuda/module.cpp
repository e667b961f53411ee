// SPDX-License-Identifier: Apache-2.0
// The module's entry: its kernels, and what stands in the way of using them.
#include <cuda_runtime_api.h>

#include <string>

#include "core/cuda/tensors.hpp"
#include "core/ops/device_module.hpp"
#include "espalier/sdk/error.hpp"

namespace espalier::cuda {
namespace {

constexpr int kLeastCapability = 80;  // sm_80: bfloat16 in hardware

std::string version(int number) { return concat(number / 1000, ".", number % 1000 / 10); }

std::string problem() {
  int driver = 0, devices = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0)
    return "no NVIDIA driver; got no libcuda.so.1; expected a driver for CUDA " + version(CUDART_VERSION);
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is too old; got one for CUDA " + version(driver) + "; expected " +
           version(CUDART_VERSION);
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && devices == 0)) {
    return "no GPU; got a driver for CUDA " + version(driver) +
           " that shows none; expected one (CUDA_VISIBLE_DEVICES?)";
  }
  if (error != cudaSuccess) return concat("the GPU does not answer; got ", cudaGetErrorString(error));
  int current = 0;
  cudaDeviceProp properties{};
  cudaGetDevice(&current);
  if (const cudaError_t read = cudaGetDeviceProperties(&properties, current); read != cudaSuccess) {
    return concat("GPU ", current, " does not answer; got ", cudaGetErrorString(read));
  }
  if (properties.major * 10 + properties.minor < kLeastCapability) {
    return concat("GPU ", current, " is too old; got ", properties.name, ", compute capability ", properties.major, ".",
                  properties.minor, "; expected 8.0 or newer");
  }
  return "";
}

std::string description() {
  int current = 0;
  cudaDeviceProp properties{};
  if (cudaGetDevice(&current) != cudaSuccess || cudaGetDeviceProperties(&properties, current) != cudaSuccess) return "";
  return concat(properties.name, ", ", properties.totalGlobalMem >> 30, " GiB, compute capability ", properties.major,
                ".", properties.minor, ", ", properties.multiProcessorCount,
                " multiprocessors; kernels for " ESPALIER_CUDA_ARCHITECTURES);
}

}  // namespace
}  // namespace espalier::cuda

extern "C" {
extern ESPALIER_SDK_VISIBLE const espalier::DeviceModule espalier_device_module;
const espalier::DeviceModule espalier_device_module = {sizeof(espalier::DeviceModule), sizeof(espalier::DeviceKernels),
                                                       ESPALIER_MODULE_STAMP,          &espalier::cuda::kKernels,
                                                       &espalier::cuda::problem,       &espalier::cuda::description};
}
