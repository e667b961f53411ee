// SPDX-License-Identifier: Apache-2.0
// A file that only grows, a whole record at a time.
#pragma once

#include <string_view>

#include "core/base/files.hpp"

namespace espalier {

class AppendFile {
 public:
  // Opens what is there, to go on at its end. Throws Error when it cannot be written.
  explicit AppendFile(const fs::path& path);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();

  // In one write where the system allows it: a run that is killed leaves the record or nothing of it.
  void append(std::string_view record);

  // Waits until all records are on the disk.
  void sync();

 private:
  fs::path path_;
  int descriptor_ = -1;
};

}  // namespace espalier
