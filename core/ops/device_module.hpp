// SPDX-License-Identifier: Apache-2.0
// First contact between the program and a module of kernels: one exported symbol, `espalier_device_module`.
#pragma once

#include <cstdint>
#include <string>

#include "core/ops/device_kernels.hpp"
#include "espalier/sdk/abi.hpp"

namespace espalier {

// Program and module are built together; the stamp says whether they were.
#define ESPALIER_MODULE_STAMP ESPALIER_VERSION ":" ESPALIER_STAMP

struct DeviceModule {
  std::uint32_t size;          // sizeof(DeviceModule) and
  std::uint32_t kernels_size;  // sizeof(DeviceKernels) of the module's source
  const char* stamp;
  const DeviceKernels* kernels;
  // Why device `index` cannot be used, or "".
  std::string (*problem)(int index);
  // That device and what the module was compiled for, in one line.
  std::string (*description)(int index);
};

inline constexpr const char* kDeviceModuleSymbol = "espalier_device_module";

}  // namespace espalier
