// SPDX-License-Identifier: Apache-2.0
#include "core/base/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>  // renameat2
#include <cstring>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"

namespace espalier {

namespace {

[[noreturn]] void fail_system(const fs::path& path, const char* what) {
  const std::string reason = std::strerror(errno);
  fail("{}: {}; got {}", path.string(), what, reason);
}

// Beside the final path, so that the rename stays within one file system. One name per target: what a killed writer
// left is overwritten by the next.
fs::path beside(const fs::path& path) { return path.parent_path() / ("." + path.filename().string() + ".partial"); }

fs::path without_trailing_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

void make_parent(const fs::path& path) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (error) fail("{}: cannot make the folder; got {}", path.parent_path().string(), error.message());
}

// Makes a rename in this folder survive a power cut.
void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail("{}: cannot put the file in place; got {}", to.string(), error.message());
}

}  // namespace

std::string read_text(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) fail("{}: cannot read; got a folder; expected a file", path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_system(path, "cannot read");
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) fail_system(path, "cannot read");
  return std::move(text).str();
}

nlohmann::json read_json(const fs::path& path) {
  constexpr int kDepth = 100;  // copying and printing recurse once a level
  const std::string text = read_text(path);
  const auto shallow = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > kDepth) fail("{}: values are nested too deeply; expected at most {} levels", path.string(), kDepth);
    return true;
  };
  try {
    return nlohmann::json::parse(text, shallow);
  } catch (const nlohmann::json::parse_error& error) {
    const std::string_view before(text.data(), std::min(text.size(), error.byte > 0 ? error.byte - 1 : 0));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto column = before.size() - (before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1) + 1;
    fail("{}:{}:{}: not valid JSON; got {}", path.string(), line, column, error.what());
  }
}

void write_text(const fs::path& path, std::string_view text) {
  PendingFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

void write_json(const fs::path& path, const nlohmann::json& json) { write_text(path, json.dump(2) + "\n"); }

void copy_file(const fs::path& from, const fs::path& to) {
  const MappedFile source(from);
  PendingFile file(to);
  file.write(source.bytes().data(), source.bytes().size());
  file.commit();
}

PendingFile::PendingFile(const fs::path& path) : path_(path), temporary_(beside(path)) {
  make_parent(path);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_system(path, "cannot write");
}

PendingFile::~PendingFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void PendingFile::write(const void* data, std::size_t bytes) {
  write_at(position_, data, bytes);
  position_ += bytes;
}

void PendingFile::write_at(std::uint64_t offset, const void* data, std::size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::pwrite(descriptor_, from, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_system(path_, "cannot write");
    from += written;
    offset += static_cast<std::uint64_t>(written);
    bytes -= static_cast<std::size_t>(written);
  }
}

void PendingFile::reserve(std::uint64_t bytes) {
  if (bytes == 0) return;
  const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes));
  if (error == 0 || error == EOPNOTSUPP || error == EINVAL) return;  // not every file system can
  errno = error;
  fail_system(path_, "cannot reserve the space");
}

void PendingFile::commit() {
  if (::fsync(descriptor_) != 0) fail_system(path_, "cannot write");
  rename_or_fail(temporary_, path_);
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(path_.parent_path());
}

PendingFolder::PendingFolder(const fs::path& path) : final_(without_trailing_slash(path)), temporary_(beside(final_)) {
  make_parent(final_);
  std::error_code error;
  fs::remove_all(temporary_, error);
  if (!error) fs::create_directory(temporary_, error);
  if (error) fail("{}: cannot make the folder; got {}", final_.string(), error.message());
}

PendingFolder::~PendingFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void PendingFolder::commit() {
  sync_folder(temporary_);
  if (fs::exists(final_)) {
    // Swap old and new in one step, so that a kill at any moment leaves one of them in place; then drop the old. Some
    // file systems cannot: there the old one steps aside first.
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, final_.c_str(), RENAME_EXCHANGE) != 0) {
      const fs::path aside = beside(final_.string() + ".old");
      std::error_code ignored;
      fs::remove_all(aside, ignored);
      rename_or_fail(final_, aside);
      rename_or_fail(temporary_, final_);
      temporary_ = aside;
    }
  } else {
    rename_or_fail(temporary_, final_);
    temporary_.clear();
  }
  sync_folder(final_.parent_path());
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  temporary_.clear();
}

struct MappedFile::Map {
  fs::path path;
  void* data = nullptr;
  std::size_t size = 0;
  ~Map() {
    if (data != nullptr) ::munmap(data, size);
  }
};

MappedFile::MappedFile(const fs::path& path) {
  auto map = std::make_shared<Map>();
  map->path = path;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_system(path, "cannot read");
  struct stat status {};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  map->size = regular ? static_cast<std::size_t>(status.st_size) : 0;
  if (map->size > 0) {
    void* data = ::mmap(nullptr, map->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data != MAP_FAILED) map->data = data;
  }
  ::close(descriptor);
  if (!regular) fail("{}: cannot read; got something that is not a regular file", path.string());
  if (map->size > 0 && map->data == nullptr) fail_system(path, "cannot map into memory");
  map_ = std::move(map);
}

std::span<const std::byte> MappedFile::bytes() const { return {static_cast<const std::byte*>(map_->data), map_->size}; }

const fs::path& MappedFile::path() const { return map_->path; }

void MappedFile::forget(std::size_t offset, std::size_t size) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGE_SIZE));
  const std::size_t first = offset / page * page;
  const std::size_t last = std::min(map_->size, offset + size);
  if (last > first) ::madvise(static_cast<char*>(map_->data) + first, last - first, MADV_DONTNEED);
}

std::shared_ptr<const void> MappedFile::keep_alive() const { return map_; }

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path path = folder / ".lock";
  make_parent(path);
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_system(path, "cannot lock the folder");
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const std::string holder = read_text(path);
    ::close(descriptor_);
    descriptor_ = -1;
    fail("{}: another run is at work in this folder; got a lock held by process {}; expected to be alone",
         folder.string(), holder.empty() ? "?" : holder);
  }
  const std::string self = std::to_string(::getpid());
  if (::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, self.data(), self.size(), 0) < 0) errno = 0;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace espalier
