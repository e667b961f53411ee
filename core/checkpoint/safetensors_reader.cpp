// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <string_view>

#include "core/base/error.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "core/checkpoint/safetensors_header.hpp"
#include "core/checkpoint/text.hpp"

namespace espalier {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor data is used as it lies in the file");

constexpr std::uint64_t kPrefix = 8;  // bytes of the header's length

std::string_view header_of(std::span<const std::byte> bytes, const std::string& source) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("version https://git-lfs")) {
    fail("{}: not a safetensors file; got a Git LFS pointer to it; expected the file itself (git lfs pull)", source);
  }
  if (text.size() < kPrefix)
    fail("{}: not a safetensors file; got {} bytes; expected more than 8", source, text.size());
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), kPrefix);
  if (length > text.size() - kPrefix) {
    fail("{}: header lies past the end of the file (is it complete?); got a length of {} bytes; expected at most {}",
         source, length, text.size() - kPrefix);
  }
  if (length > kLongestHeader) {
    fail("{}: header is too long; got {} bytes; expected at most {}", source, length, kLongestHeader);
  }
  return text.substr(kPrefix, length);
}

}  // namespace

std::int64_t TensorInfo::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  const std::string source = path.string();
  const std::string_view text = header_of(bytes, source);
  SafetensorsHeader header = parse_header(text, source);
  const std::uint64_t data_begin = kPrefix + text.size();
  place_tensors(header.tensors, data_begin, bytes.size() - data_begin, source);
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorInfo* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

at::Tensor SafetensorsFile::tensor(const TensorInfo& info) const {
  const at::TensorOptions options = at::TensorOptions().dtype(info.dtype);
  if (info.bytes() == 0) return at::empty(info.shape, options);
  const std::span<const std::byte> data = file_.bytes().subspan(info.begin, info.bytes());
  if (info.dtype == at::ScalarType::Bool) {
    // Any other value in a C++ bool is undefined behaviour.
    const bool valid = std::all_of(data.begin(), data.end(), [](std::byte b) { return b <= std::byte{1}; });
    if (!valid) fail("{}: tensor {}: a boolean is neither 0 nor 1", path().string(), in_quotes(info.name));
  }
  if (reinterpret_cast<std::uintptr_t>(data.data()) % c10::elementSize(info.dtype) != 0) {
    at::Tensor copy = at::empty(info.shape, options);
    std::memcpy(copy.data_ptr(), data.data(), data.size());
    return copy;
  }
  auto deleter = [owner = file_.keep_alive()](void*) {};
  return at::from_blob(const_cast<std::byte*>(data.data()), info.shape, deleter, options);
}

void SafetensorsFile::forget(const TensorInfo& info) const { file_.forget(info.begin, info.bytes()); }

}  // namespace espalier
