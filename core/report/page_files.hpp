// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace espalier {

// A file of core/report/page/, which travels inside the program: "style.css", "curves.js", ….
std::string_view page_file(std::string_view name);

}  // namespace espalier
