// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/base/error.hpp"

namespace espalier {

// A fresh folder under the system's temporary one (or another); removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() : TemporaryFolder(std::filesystem::temp_directory_path()) {}
  explicit TemporaryFolder(const std::filesystem::path& parent) {
    std::string name = (parent / "espalier-").string() + std::string(6, 'X');  // mkdtemp puts a fresh name there
    if (mkdtemp(name.data()) == nullptr) fail("{}: cannot make a temporary folder", name);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 protected:
  std::filesystem::path path_;
};

}  // namespace espalier
