// SPDX-License-Identifier: Apache-2.0
// What the program and the modules of this folder agree on.
#pragma once

#include "core/comm/comm.hpp"

namespace espalier {

// Every module has two entries, extern "C": the version of the program that it was built with, and its Comm.
inline constexpr const char* kModuleVersion = "espalier_module_version";
inline constexpr const char* kModuleComm = "espalier_module_comm";
using ModuleVersion = const char* (*)();
// Of this launch, on this device. May throw Error.
using ModuleComm = Comm* (*)(const Launch& launch, const at::Device& device);

}  // namespace espalier
