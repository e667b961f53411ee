// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace espalier {

std::int64_t peak_resident_bytes();    // of this process, from the kernel
std::int64_t physical_memory_bytes();  // what this process may use: the smaller of RAM and its cgroup's limit

// For the start of a program: up to 128 MB of freed memory stay with the process. A training step frees and takes the
// same memory again, and each return to the kernel costs a page fault per 4 KB: a fifth of a small model's time. Blocks
// of 32 MB and more go back at once, as ever.
void keep_freed_memory();

}  // namespace espalier
