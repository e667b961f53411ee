// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fstream>
#include <string>

#include "core/base/files.hpp"

namespace espalier::testing {

// write_text() without its fsync, which hundreds of small files would feel.
inline void quick_write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace espalier::testing
