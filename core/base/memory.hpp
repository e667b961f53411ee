// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace espalier {

std::int64_t peak_resident_bytes();    // of this process, from the kernel
std::int64_t physical_memory_bytes();  // what this process may use: the smaller of RAM and its cgroup's limit

}  // namespace espalier
