// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

namespace espalier {

// What compares: program, LibTorch, processor, threads; of a sweep (sweep.json, or null) the threads of its runs. The
// device of the measurements is part of their protocol.
nlohmann::json environment_of(const nlohmann::json& protocol, const nlohmann::json& sweep);

}  // namespace espalier
