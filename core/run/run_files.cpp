// SPDX-License-Identifier: Apache-2.0
#include "core/run/run_files.hpp"

namespace espalier {

namespace {
fs::path folder_of(const fs::path& path) {
  const fs::path plain = path.has_filename() ? path : path.parent_path();
  return plain.has_parent_path() ? plain.parent_path() : fs::path(".");
}
}  // namespace

fs::path RunFiles::cache() const {
  const fs::path folder = folder_of(root);
  return (fs::exists(folder / kSweepFile) ? folder_of(folder) : folder) / ".cache";
}

}  // namespace espalier
