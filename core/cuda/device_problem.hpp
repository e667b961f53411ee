// SPDX-License-Identifier: Apache-2.0
// What stands in the way of a GPU, from what the driver answered. Without calls, so that a machine without a GPU can
// check every answer.
#pragma once

#include <string>

#include "espalier/sdk/error.hpp"

namespace espalier::cuda {

struct DriverAnswers {
  int driver = 0;        // CUDA version of the driver, 1000·major + 10·minor; 0: no driver
  int runtime = 0;       // of the runtime this was built with
  bool too_old = false;  // the runtime refuses the driver
  std::string error;     // any other refusal, in its words
  int devices = 0;       // GPUs that the driver shows
  std::string name;      // of the wanted one
  int major = 0, minor = 0;
};

inline constexpr int kLeastMajor = 8;  // compute capability 8.0: bfloat16 in hardware

// Why GPU `index` cannot be used, or "".
inline std::string device_problem(const DriverAnswers& got, int index) {
  const auto version = [](int number) { return concat(number / 1000, ".", number % 1000 / 10); };
  if (got.driver == 0) {
    return "no NVIDIA driver; got no libcuda.so.1; expected a driver for CUDA " + version(got.runtime);
  }
  if (got.too_old) {
    return concat("the NVIDIA driver is too old; got one for CUDA ", version(got.driver), "; expected ",
                  version(got.runtime));
  }
  if (!got.error.empty()) return concat("the GPU does not answer; got '", got.error, "' from the driver");
  if (got.devices == 0) {
    return "no GPU; got none from the driver; expected one (does CUDA_VISIBLE_DEVICES hide it?)";
  }
  if (index >= got.devices) {
    return concat("no GPU ", index, "; got ", got.devices, " GPUs; expected one for each rank of this machine");
  }
  if (got.major < kLeastMajor) {
    return concat("GPU ", index, " is too old; got ", got.name, ", compute capability ", got.major, ".", got.minor,
                  "; expected ", kLeastMajor, ".0 or newer");
  }
  return "";
}

}  // namespace espalier::cuda
