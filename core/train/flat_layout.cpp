// SPDX-License-Identifier: Apache-2.0
#include "core/train/flat_layout.hpp"

#include <algorithm>

namespace espalier {
namespace {

// Each gradient starts on a 64-byte boundary, as tensors of their own would: vector code depends on it for speed, and a
// matrix library even for its rounding.
std::int64_t alignment(at::ScalarType dtype) { return 64 / static_cast<std::int64_t>(c10::elementSize(dtype)); }

std::int64_t padded(std::int64_t count, std::int64_t to) { return (count + to - 1) / to * to; }

}  // namespace

FlatLayout::FlatLayout(const std::vector<at::Tensor>& parameters, std::int64_t ranks,
                       std::vector<at::ScalarType> gradients)
    : ranks_(ranks), offsets_(parameters.size()), region_of_(parameters.size()) {
  gradients.resize(parameters.size(), at::kFloat);
  const auto belongs = [&](std::size_t i, const FlatRegion& region) {
    return gradients[i] == region.gradients && (ranks == 1 || parameters[i].scalar_type() == region.dtype);
  };
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    counts_.push_back(parameters[i].numel());
    shapes_.push_back(parameters[i].sizes().vec());
    const bool known = std::any_of(regions_.begin(), regions_.end(), [&](const auto& one) { return belongs(i, one); });
    if (!known) regions_.push_back({0, 0, parameters[i].scalar_type(), gradients[i]});
  }
  for (std::size_t r = 0; r < regions_.size(); ++r) {
    FlatRegion& region = regions_[r];
    region.begin = size_;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!belongs(i, region)) continue;
      offsets_[i] = size_;
      region_of_[i] = r;
      size_ += padded(counts_[i], alignment(region.gradients));
      order_.push_back(i);
    }
    size_ = region.begin + padded(size_ - region.begin, alignment(region.gradients) * ranks);
    region.part = (size_ - region.begin) / ranks;
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

at::Tensor FlatLayout::view(const std::vector<at::Tensor>& buffer, std::size_t i) const {
  const std::size_t region = region_of_[i];
  return buffer[region].narrow(0, offsets_[i] - regions_[region].begin, counts_[i]).view(shapes_[i]);
}

}  // namespace espalier
