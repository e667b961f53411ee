// SPDX-License-Identifier: Apache-2.0
#include "core/data/sources.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/data/glob.hpp"
#include "core/data/pack_info.hpp"

namespace espalier {

namespace {

bool names_tokens(const fs::path& path) { return path.extension() == ".bin" || path.extension() == ".idx"; }

TextFile text_file(const fs::path& path, const std::string& name) {
  fs::path bare = path.filename();
  const bool gzip = bare.extension() == ".gz";
  if (gzip) bare.replace_extension();
  if (names_tokens(path)) {
    reject("{}: a glob names text; got a token file; expected token files one by one, each by its own path",
           path.string());
  }
  for (const char* closed : {".parquet", ".arrow", ".zst", ".xz", ".zip"}) {
    if (path.extension() == closed) {
      reject("{}: not text; got {}; expected text, .jsonl or .jsonl.gz", path.string(), closed);
    }
  }
  return {path, name, bare.extension() == ".jsonl", gzip};
}

[[noreturn]] void fail_missing(const fs::path& path) {
  const fs::path parent = path.parent_path();
  const fs::path folder = nearest_existing_folder(parent.empty() ? fs::path(".") : parent);
  if (folder != (parent.empty() ? fs::path(".") : parent)) {
    fail("{}: no such file; the nearest folder that exists is {}", path.string(), folder.string());
  }
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  fail("{}: no such file; expected text, .jsonl, a packed prefix, a .bin or a glob{}", path.string(),
       did_you_mean(path.filename().string(), names));
}

}  // namespace

Source resolve(const SourceEntry& entry) {
  if (entry.path.empty()) reject("data source has no path; got ''; expected a file, a packed prefix or a glob");
  const fs::path path = entry.path;
  Source source;
  source.name = entry.name.empty() ? entry.path : entry.name;
  source.path = path;
  std::error_code error;
  const bool file = fs::is_regular_file(path, error);
  if (file && !names_tokens(path)) {
    source.label = path.filename().string();
    source.files = {text_file(path, source.label)};
    return source;
  }
  if (names_tokens(path) && !is_glob(entry.path)) {
    if (!file && !fs::exists(fs::path(path).replace_extension(".bin"), error)) fail_missing(path);
    source.is_tokens = true;
  } else if (fs::is_regular_file(PackPaths(path).bin, error) || fs::is_regular_file(PackPaths(path).idx, error)) {
    source.is_tokens = true;
  }
  source.label = path.filename().string();
  if (source.is_tokens) return source;
  if (fs::is_directory(path, error)) {
    reject("{}: a folder is not a data source; got a folder; expected a file or a glob such as '{}'", entry.path,
           (path / "**" / "*.txt").string());
  }
  if (!is_glob(entry.path)) fail_missing(path);
  const Glob glob(entry.path);
  source.label = glob.rest;
  for (const std::string& name : expand(glob)) source.files.push_back(text_file(glob.folder / name, name));
  return source;
}

}  // namespace espalier
