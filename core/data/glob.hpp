// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

bool is_glob(std::string_view path);  // has *, ? or {

// A pattern as its fixed part (a folder, "" = the working folder) and the rest, whose first part has a wildcard.
struct Glob {
  explicit Glob(std::string_view pattern);
  fs::path folder;
  std::string rest;
};

// The files that match, as paths below the fixed part with '/', sorted bytewise. Names that begin with a dot match only
// a pattern that has "/." or begins with a dot. Links to folders are followed, but never into a folder that is being
// walked already. Throws Error when nothing matches, naming the nearest folder that exists.
std::vector<std::string> expand(const Glob& glob);

// `path` itself, or the folder above it that exists.
fs::path nearest_existing_folder(const fs::path& path);

}  // namespace espalier
