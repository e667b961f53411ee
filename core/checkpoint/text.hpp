// SPDX-License-Identifier: Apache-2.0
// How names and shapes from files appear in messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

// 'name', with control characters escaped and an endless name cut: it comes from a file nobody vouches for.
std::string in_quotes(std::string_view name);

std::string shape_text(const std::vector<std::int64_t>& shape);  // [2, 3]

}  // namespace espalier
