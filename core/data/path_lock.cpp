// SPDX-License-Identifier: Apache-2.0
#include "core/data/path_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <spdlog/spdlog.h>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"

namespace espalier {

PathLock::PathLock(const fs::path& prefix)
    : path_(prefix.parent_path() / ("." + prefix.filename().string() + ".lock")) {
  std::error_code error;
  if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), error);
  if (error) fail("{}: cannot make the folder; got {}", path_.parent_path().string(), error.message());
  for (bool told = false; !try_lock(); told = true) {
    if (!told) spdlog::info("{}: another process is writing it; waiting", prefix.string());
    ::usleep(50'000);
    throw_if_interrupted();
  }
}

PathLock::~PathLock() {
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

bool PathLock::try_lock() {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("{}: cannot write; got {}", path_.string(), std::strerror(errno));
  struct stat held {
  }, named{};
  // Who held the lock before may have removed the file that was opened here: then the lock is nobody's.
  const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 && ::fstat(descriptor_, &held) == 0 &&
                      ::stat(path_.c_str(), &named) == 0 && held.st_ino == named.st_ino;
  if (!locked) ::close(descriptor_);
  return locked;
}

}  // namespace espalier
