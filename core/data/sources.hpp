// SPDX-License-Identifier: Apache-2.0
// What an entry of [data] names: one token file, or text files in a fixed order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/data/prepare.hpp"

namespace espalier {

struct TextFile {
  fs::path path;
  std::string name;    // the path below the glob's fixed part; of a single file its file name
  bool lines = false;  // JSONL: a document a line; otherwise the file is one document
  bool gzip = false;
};

struct Source {
  std::string name;        // for reports
  std::string label;       // without folders outside the data: a glob's own part, or a file name
  bool is_tokens = false;  // `path` is a token file, and `files` is empty
  fs::path path;
  std::vector<TextFile> files;
};

// Throws RecipeError for a folder, Error for what does not exist.
Source resolve(const SourceEntry& entry);

}  // namespace espalier
