// SPDX-License-Identifier: Apache-2.0
// The JSON at the head of a safetensors file, from text to trusted table and back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/safetensors.hpp"

namespace espalier {

constexpr std::uint64_t kLongestHeader = 100'000'000;  // bytes; where the reference implementation stops too

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in the header's order; begin and end count from the end of the header
  std::map<std::string, std::string> metadata;
};

// Structure, names, dtypes, and shape × size = offsets of each tensor. Builds nothing that the format does not have, so
// memory stays in proportion to the text. `source` begins every Error.
SafetensorsHeader parse_header(std::string_view json, const std::string& source);

// Sorts by place, checks that the tensors fill [0, data_bytes) without overlap, hole or rest, and moves their offsets
// by `data_begin`.
void place_tensors(std::vector<TensorInfo>& tensors, std::uint64_t data_begin, std::uint64_t data_bytes,
                   const std::string& source);

// The header of these tensors, whose offsets count from its end, padded so that data begins at a multiple of 8.
std::string header_text(const std::vector<TensorInfo>& tensors, const std::map<std::string, std::string>& metadata);

// "BF16" → kBFloat16. `source` names the tensor.
at::ScalarType dtype_from_name(const std::string& name, const std::string& source);

// Size of the data. False when it does not fit an int64, counting extents of 0 as 1 (strides would overflow).
bool data_bytes(at::ScalarType dtype, const std::vector<std::int64_t>& shape, std::uint64_t& bytes);

}  // namespace espalier
