// SPDX-License-Identifier: Apache-2.0
// What config.json and the tensors of a checkpoint say of each other.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/checkpoint/layout.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/model/parameter.hpp"

namespace espalier {

constexpr const char* kHeadName = "lm_head.weight";

using OpenFiles = std::vector<std::shared_ptr<const SafetensorsFile>>;

// Every tensor is in one file only, and where the index says.
void check_index(const fs::path& folder, const Layout& layout, const OpenFiles& files);

// The tensor has the parameter's shape and a dtype of weights. The dimension that disagrees is named in our words and
// in those of config.json.
void check_tensor(const fs::path& file, const TensorInfo& tensor, const Parameter& parameter);

// A tensor that is not in the table. There may be buffers that older programs saved and, where config.json ties the
// head to the embedding, a head with the embedding's data (`embedding` is null where it does not).
void check_extra(const SafetensorsFile& file, const TensorInfo& tensor, const SafetensorsFile* embedding_file,
                 const TensorInfo* embedding);

}  // namespace espalier
