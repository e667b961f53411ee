// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fstream>
#include <string>

#include "core/base/files.hpp"

namespace espalier::testing {

// write_text() without its fsync, which hundreds of small files would feel. The old file is removed and not truncated:
// some file systems sync a file that was truncated.
inline void quick_write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace espalier::testing
