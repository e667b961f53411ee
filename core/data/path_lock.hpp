// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/files.hpp"

namespace espalier {

// Held while a program writes the files of one prefix; a second one waits. The lock is the file's, so it ends with the
// process, however that ends.
class PathLock {
 public:
  explicit PathLock(const fs::path& prefix);  // the lock file is ".<name>.lock" beside it
  PathLock(const PathLock&) = delete;
  PathLock& operator=(const PathLock&) = delete;
  ~PathLock();  // removes the lock file

 private:
  bool try_lock();
  fs::path path_;
  int descriptor_ = -1;
};

}  // namespace espalier
