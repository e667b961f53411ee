// SPDX-License-Identifier: Apache-2.0
#include "core/train/flat_layout.hpp"

#include <algorithm>

namespace espalier {
namespace {

// Each tensor starts on a 64-byte boundary, as tensors of their own would: vector code depends on it for speed, and a
// matrix library even for its rounding.
constexpr std::int64_t kAlignment = 16;  // floats

std::int64_t padded(std::int64_t count, std::int64_t to) { return (count + to - 1) / to * to; }

}  // namespace

FlatLayout::FlatLayout(const std::vector<at::Tensor>& parameters, std::int64_t ranks) : ranks_(ranks) {
  offsets_.resize(parameters.size());
  std::vector<at::ScalarType> dtypes;
  for (const at::Tensor& parameter : parameters) {
    counts_.push_back(parameter.numel());
    shapes_.push_back(parameter.sizes().vec());
    const at::ScalarType dtype = parameter.scalar_type();
    if (std::find(dtypes.begin(), dtypes.end(), dtype) == dtypes.end()) dtypes.push_back(dtype);
  }
  if (ranks == 1) dtypes.resize(1);
  for (const at::ScalarType dtype : dtypes) {
    FlatRegion region{size_, 0, dtype};
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (ranks > 1 && parameters[i].scalar_type() != dtype) continue;
      offsets_[i] = size_;
      size_ += padded(counts_[i], kAlignment);
      order_.push_back(i);
    }
    size_ = region.begin + padded(size_ - region.begin, kAlignment * ranks);
    region.part = (size_ - region.begin) / ranks;
    regions_.push_back(region);
  }
}

std::vector<FlatPiece> FlatLayout::pieces(std::int64_t rank) const {
  std::vector<FlatPiece> pieces;
  std::int64_t place = 0;  // of the region's part in the rank's own buffer
  for (const FlatRegion& region : regions_) {
    const std::int64_t first = region.begin + rank * region.part, last = first + region.part;
    const std::int64_t end = region.begin + ranks_ * region.part;
    for (const std::size_t i : order_) {
      if (offsets_[i] < region.begin || offsets_[i] >= end) continue;
      const std::int64_t from = std::max(first, offsets_[i]), to = std::min(last, offsets_[i] + counts_[i]);
      if (from < to) pieces.push_back({i, from - offsets_[i], to - offsets_[i], place + from - first});
    }
    place += region.part;
  }
  return pieces;
}

at::Tensor FlatLayout::view(const at::Tensor& buffer, std::size_t i) const {
  return buffer.narrow(0, offsets_[i], counts_[i]).view(shapes_[i]);
}

}  // namespace espalier
