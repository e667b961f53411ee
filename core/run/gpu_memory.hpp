// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace espalier {

// Bytes that are free on each GPU that this process sees. Error as open_device when none can be used. Unless this
// process has opened a GPU already a short-lived one asks, so that this one takes no memory there, and none where a GPU
// takes only one process.
std::vector<std::int64_t> free_bytes_of_gpus();

}  // namespace espalier
