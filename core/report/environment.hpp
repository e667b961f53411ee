// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

namespace espalier {

// What compares: program, LibTorch, processor, threads. The device of the measurements is part of their protocol.
nlohmann::json environment_of(const nlohmann::json& protocol);

}  // namespace espalier
