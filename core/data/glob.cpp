// SPDX-License-Identifier: Apache-2.0
#include "core/data/glob.hpp"

#include <algorithm>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

namespace {

class Walk {
 public:
  explicit Walk(const Glob& glob) : glob_(glob) {
    const bool deep = glob.rest.find("**") != std::string::npos;
    depth_ = deep ? std::numeric_limits<std::ptrdiff_t>::max() : std::count(glob.rest.begin(), glob.rest.end(), '/');
    hidden_ = glob.rest.starts_with('.') || glob.rest.find("/.") != std::string::npos;
  }

  void folder(const fs::path& path, const std::string& below, std::ptrdiff_t depth) {
    std::error_code error;
    const fs::path self = fs::canonical(path, error);
    if (error || std::find(open_.begin(), open_.end(), self) != open_.end()) return;  // a link back to a parent
    open_.push_back(self);
    fs::directory_iterator entry(path, error);
    if (error) fail("{}: cannot list the folder; got {}", path.string(), error.message());
    for (; entry != fs::directory_iterator(); entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (name.starts_with('.') && !hidden_) continue;
      if (entry->is_directory(error)) {
        if (depth < depth_) folder(entry->path(), below + name + "/", depth + 1);
      } else if (entry->is_regular_file(error)) {
        ++seen_;
        if (glob_match(glob_.rest, below + name)) found_.push_back(below + name);
      }
    }
    if (error) fail("{}: cannot list the folder; got {}", path.string(), error.message());
    open_.pop_back();
  }

  std::vector<std::string> take() {
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }
  std::int64_t seen() const { return seen_; }

 private:
  const Glob& glob_;
  std::ptrdiff_t depth_;
  bool hidden_;
  std::vector<fs::path> open_;  // the folders from the fixed part down to here
  std::vector<std::string> found_;
  std::int64_t seen_ = 0;
};

}  // namespace

bool is_glob(std::string_view path) { return path.find_first_of("*?{") != std::string_view::npos; }

Glob::Glob(std::string_view pattern) {
  const std::size_t wild = std::min(pattern.find_first_of("*?{"), pattern.size());
  const std::size_t slash = pattern.substr(0, wild).rfind('/');
  const std::size_t cut = slash == std::string_view::npos ? 0 : slash + 1;
  folder = fs::path(pattern.substr(0, cut > 1 ? cut - 1 : cut));  // "/" stays, other slashes at the end do not
  rest = std::string(pattern.substr(cut));
}

std::vector<std::string> expand(const Glob& glob) {
  const fs::path folder = glob.folder.empty() ? fs::path(".") : glob.folder;
  const std::string pattern = (glob.folder / glob.rest).string();
  if (!fs::is_directory(folder)) {
    fail("{}: no file matches; got no folder {}; the nearest that exists is {}", pattern, folder.string(),
         nearest_existing_folder(folder).string());
  }
  Walk walk(glob);
  walk.folder(folder, "", 0);
  std::vector<std::string> found = walk.take();
  if (found.empty()) {
    fail("{}: no file matches; got {} other files below {}; expected at least one match", pattern, walk.seen(),
         folder.string());
  }
  return found;
}

fs::path nearest_existing_folder(const fs::path& path) {
  std::error_code error;
  fs::path folder = path;
  while (!folder.empty() && !fs::is_directory(folder, error)) {
    const fs::path parent = folder.parent_path();
    if (parent == folder) break;
    folder = parent;
  }
  return folder.empty() ? fs::path(".") : folder;
}

}  // namespace espalier
