// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "core/base/error.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/checkpoint/safetensors_header.hpp"

namespace espalier {

SafetensorsWriter::SafetensorsWriter(const fs::path& path, std::vector<TensorInfo> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path), tensors_(std::move(tensors)) {
  std::set<std::string> names;
  std::uint64_t end = 0;
  for (TensorInfo& tensor : tensors_) {
    std::uint64_t bytes = 0;
    ESPALIER_CHECK(names.insert(tensor.name).second && tensor.name != "__metadata__", tensor.name);
    ESPALIER_CHECK(data_bytes(tensor.dtype, tensor.shape, bytes), tensor.name);
    tensor.begin = end;
    tensor.end = end += bytes;
  }
  const std::string header = header_text(tensors_, metadata);
  ESPALIER_CHECK(header.size() <= kLongestHeader, "no reader takes a header of ", header.size(), " bytes");
  const std::uint64_t length = header.size();
  const std::uint64_t data_begin = sizeof(length) + length;
  file_.reserve(data_begin + end);
  file_.write(&length, sizeof(length));
  file_.write(header.data(), header.size());
  for (TensorInfo& tensor : tensors_) {
    tensor.begin += data_begin;
    tensor.end += data_begin;
  }
}

void SafetensorsWriter::skip_empty() {
  while (current_ < tensors_.size() && tensors_[current_].bytes() == 0) ++current_;
}

void SafetensorsWriter::write(const void* data, std::size_t bytes) {
  if (bytes == 0) return;
  skip_empty();
  ESPALIER_CHECK(current_ < tensors_.size(), "every tensor is written already");
  const std::uint64_t left = tensors_[current_].bytes() - written_;
  ESPALIER_CHECK(bytes <= left, tensors_[current_].name, " takes ", left, " more bytes, not ", bytes);
  file_.write(data, bytes);
  written_ += bytes;
  if (bytes == left) {
    ++current_;
    written_ = 0;
  }
}

void SafetensorsWriter::write(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return;
  skip_empty();
  ESPALIER_CHECK(current_ < tensors_.size(), "every tensor is written already");
  const TensorInfo& info = tensors_[current_];
  ESPALIER_CHECK(tensor.scalar_type() == info.dtype && tensor.sizes() == at::IntArrayRef(info.shape), info.name, " is ",
                 dtype_name(info.dtype), ", not ", c10::toString(tensor.scalar_type()), ", or has another shape than ",
                 tensor.sizes());
  const at::Tensor whole = tensor.detach().cpu().contiguous();
  write(whole.const_data_ptr(), whole.nbytes());
}

void SafetensorsWriter::commit() {
  skip_empty();
  ESPALIER_CHECK(current_ == tensors_.size(), tensors_[current_].name, " is not wholly written");
  file_.commit();
}

void save_tensors(const fs::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) {
    infos.push_back({.name = name, .dtype = tensor.scalar_type(), .shape = tensor.sizes().vec(), .begin = 0, .end = 0});
  }
  SafetensorsWriter writer(path, std::move(infos), metadata);
  for (const auto& [name, tensor] : tensors) writer.write(tensor);
  writer.commit();
}

}  // namespace espalier
