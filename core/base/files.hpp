// SPDX-License-Identifier: Apache-2.0
// Files as the whole program treats them: read whole or mapped, written beside and renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace espalier {

namespace fs = std::filesystem;

// Throws Error with the path and the system's reason.
std::string read_text(const fs::path& path);
nlohmann::json read_json(const fs::path& path);  // parse errors name line and column

// Writes `path` so that it has either its old or its new content, whatever happens: a temporary beside it, fsync,
// rename.
void write_text(const fs::path& path, std::string_view text);
void write_json(const fs::path& path, const nlohmann::json& json);  // indented by two, keys sorted, final newline
void copy_file(const fs::path& from, const fs::path& to);

// A file being written beside its final place. Without commit() nothing of it stays.
class PendingFile {
 public:
  explicit PendingFile(const fs::path& path);
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  ~PendingFile();
  void write(const void* data, std::size_t bytes);                           // at the end
  void write_at(std::uint64_t offset, const void* data, std::size_t bytes);  // anywhere
  void reserve(std::uint64_t bytes);  // takes the space now; a full disk is found here
  void commit();                      // fsync and rename
  const fs::path& path() const { return path_; }

 private:
  fs::path path_, temporary_;
  int descriptor_ = -1;
  std::uint64_t position_ = 0;
};

// A folder being written beside its final place: path() is the temporary. commit() replaces the old folder.
class PendingFolder {
 public:
  explicit PendingFolder(const fs::path& path);
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;
  ~PendingFolder();
  const fs::path& path() const { return temporary_; }
  void commit();

 private:
  fs::path final_, temporary_;
};

// A read-only memory map. Copies share it.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  std::span<const std::byte> bytes() const;
  const fs::path& path() const;
  // Tells the kernel that this range is not needed any more, so that it does not count as resident.
  void forget(std::size_t offset, std::size_t size) const;
  std::shared_ptr<const void> keep_alive() const;

 private:
  struct Map;
  std::shared_ptr<const Map> map_;
};

// Held while a program works in a folder; a second one gets an Error that names the first one's process.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  int descriptor_ = -1;
};

}  // namespace espalier
