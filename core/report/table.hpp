// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace espalier {

// Plain text columns, first left-aligned, others right-aligned, as wide as they need.
std::string text_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace espalier
