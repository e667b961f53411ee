// SPDX-License-Identifier: Apache-2.0
// The pretended GPU's memory: pages that nobody may touch but operations of the device while they run. Who reads a
// device's tensor through its pointer on the CPU dies there, as on a machine with a GPU. (Where the CPU has protection
// keys, as most have; the program must compute with one thread, since a key is a thread's own.)
#pragma once

#include <cstddef>

#include <c10/core/CachingDeviceAllocator.h>

namespace espalier::pretended_gpu {

// While one lives, its thread can read and write the pages. May be nested.
class Access {
 public:
  Access();
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
};

// Gives out pieces of it in multiples of 512 bytes, as LibTorch's allocator for GPUs does, and counts them.
c10::DeviceAllocator& allocator();

}  // namespace espalier::pretended_gpu
