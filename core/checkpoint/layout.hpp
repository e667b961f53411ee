// SPDX-License-Identifier: Apache-2.0
// Which files of a checkpoint folder hold its weights: `model.safetensors`, or shards named by an index.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kProvenanceFile = "espalier.json";
constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

struct Layout {
  std::vector<std::string> files;              // in the folder, sorted
  bool indexed = false;                        // an index names them
  std::map<std::string, std::string> file_of;  // tensor → file; only when indexed
};

// Throws Error when there are no weights, when a shard is missing, unused or outside the folder.
Layout find_layout(const fs::path& folder);

// Weights in any format, which do not travel with a model that has new ones, and the files that describe them.
bool holds_weights(const std::string& file_name);

}  // namespace espalier
