// SPDX-License-Identifier: Apache-2.0
// One safetensors file. Reading maps it and validates the header before anything is trusted; writing streams into a
// file whose layout is fixed before the first byte, so that memory stays bounded.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

struct TensorInfo {
  std::string name;
  at::ScalarType dtype = at::ScalarType::Float;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // bytes, from the start of the file
  std::int64_t elements() const;     // 1 for a tensor without dimensions
  std::uint64_t bytes() const { return end - begin; }
};

// "F32", "BF16", …: as a safetensors header spells it. Only for the ten types that we read and write.
std::string dtype_name(at::ScalarType dtype);

// "bfloat16" → kBFloat16, as config.json and recipes spell the types of weights; "torch.bfloat16" is the same.
// `source` names the place in the Error.
at::ScalarType dtype_from_config(const std::string& name, const std::string& source);
std::string dtype_to_config(at::ScalarType dtype);  // kBFloat16 → "bfloat16"

class SafetensorsFile {
 public:
  // Checks: size, header length, JSON, no duplicate names, known dtypes, shape × size = offsets, no overlap, no holes,
  // nothing after the last tensor. Throws Error with the path and the tensor.
  explicit SafetensorsFile(const fs::path& path);
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in file order
  const TensorInfo* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Zero-copy where the data is aligned, else a copy. Read-only: writing to it faults. Keeps the map alive.
  at::Tensor tensor(const TensorInfo& info) const;
  // Lets the kernel drop the pages of this tensor; they are read again when touched.
  void forget(const TensorInfo& info) const;
  const fs::path& path() const { return file_.path(); }
  const MappedFile& map() const { return file_; }

 private:
  MappedFile file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t> index_;
  std::map<std::string, std::string> metadata_;
};

// Writes tensors in the order given; the header is padded to a multiple of 8.
class SafetensorsWriter {
 public:
  // `tensors`: name, dtype and shape; offsets are computed here. Reserves the disk space.
  SafetensorsWriter(const fs::path& path, std::vector<TensorInfo> tensors,
                    const std::map<std::string, std::string>& metadata);
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  // Appends bytes of the tensor at hand; tensors follow each other in order, each in any number of pieces.
  void write(const void* data, std::size_t bytes);
  void write(const at::Tensor& tensor);  // a whole tensor, dtype and shape as declared; any device, any strides
  void commit();                         // checks that every byte was written

 private:
  void skip_empty();

  PendingFile file_;
  std::vector<TensorInfo> tensors_;
  std::size_t current_ = 0;    // tensor at hand
  std::uint64_t written_ = 0;  // its bytes so far
};

// A small file in one go.
void save_tensors(const fs::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace espalier
