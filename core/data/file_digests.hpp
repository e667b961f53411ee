// SPDX-License-Identifier: Apache-2.0
// Digests of files, remembered. Nine thousand files are not read again to find that they are what they were.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/data/sources.hpp"

namespace espalier {

// What the system says of a file without opening it. Any write to a file changes its ctime, which no program can set.
struct FileStamp {
  std::uint64_t size = 0, device = 0, inode = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;
  bool operator==(const FileStamp&) const = default;
};

FileStamp stamp_of(const fs::path& path);  // throws Error when there is no such file

struct FileFact {
  std::string digest;  // SHA-256 of the file's bytes; of a gzipped text the text's
  FileStamp stamp;
};

// The memory is a file of pairs (digest of path and stamp → digest of content). A file that changed within the last two
// seconds is not remembered: a later write could leave the same stamp behind. A damaged memory is forgotten.
class FileDigests {
 public:
  explicit FileDigests(fs::path memory);  // empty: nothing is remembered
  // One fact per file, in order; files that are not known are read by `workers` threads.
  std::vector<FileFact> facts(const std::vector<TextFile>& files, int workers);
  void save() const;  // when there is something new; does nothing when the folder cannot be written

 private:
  fs::path memory_;
  std::map<std::string, std::string> known_, used_;
  bool grown_ = false;
};

}  // namespace espalier
