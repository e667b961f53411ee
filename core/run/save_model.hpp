// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/checkpoint/layout.hpp"

namespace espalier {

// What a checkpoint folder is written with, besides its tensors.
struct SaveRequest {
  fs::path folder;
  ModelSpec spec;
  nlohmann::json base_config;          // the teacher's, or empty
  std::vector<std::int64_t> layer_of;  // student layer → layer of base_config
  at::ScalarType dtype = at::kFloat;
  std::int64_t shard_bytes = std::int64_t{5} << 30;
  std::vector<fs::path> side_files;
  nlohmann::json provenance;  // espalier.json; null: none
};

// Opens a writer for the request; the caller writes the tensors in order and commits.
CheckpointWriter open_writer(const SaveRequest& request);

// "bfloat16" and back.
std::string config_dtype(at::ScalarType dtype);

}  // namespace espalier
