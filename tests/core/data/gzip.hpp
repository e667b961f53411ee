// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <string>

#include "core/base/files.hpp"

namespace espalier::testing {

inline void write_gzip(const fs::path& path, const std::string& text, const char* mode = "wb") {
  gzFile file = gzopen(path.c_str(), mode);
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

}  // namespace espalier::testing
