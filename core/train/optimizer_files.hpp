// SPDX-License-Identifier: Apache-2.0
// The moments of an optimizer on disk: one file, or one for each rank with the pieces that it keeps. Files of any
// number of ranks are read by any other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/train/optimizer.hpp"

namespace espalier {

// "optimizer.safetensors" of one rank alone, "optimizer-00002-of-00004.safetensors" of the second of four.
std::string optimizer_file(std::int64_t rank, std::int64_t ranks);
// All of a set, given one's name; empty: not such a name.
std::vector<std::string> optimizer_files_with(const std::string& name);

// `names`: of the optimizer's parameters, in its order.
void write_moments(const fs::path& path, const std::vector<std::string>& names, AdamW& optimizer, std::int64_t step);

// Into this rank's pieces. Throws Error when the files do not hold all of them.
void read_moments(const std::vector<fs::path>& paths, const std::vector<std::string>& names, AdamW& optimizer);

// Tensor `name` of the file, whose shape must be that of a parameter. Throws Error when it belongs to another model.
const TensorInfo& tensor_of_model(const SafetensorsFile& file, const std::string& name, at::IntArrayRef shape);

}  // namespace espalier
