// SPDX-License-Identifier: Apache-2.0
// Where parameters lie in one flat buffer that ranks divide among them (ZeRO stage 1, Rajbhandari et al.,
// arXiv 1910.02054, section 5.1).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace espalier {

// A stretch of the buffer whose parameters have one dtype, and their gradients one: ranks × part elements, a part for
// each rank. The padding at its end makes it divisible. With one rank the parameters' dtypes do not matter: it never
// has to move their bytes.
struct FlatRegion {
  std::int64_t begin = 0, part = 0;
  at::ScalarType dtype = at::kFloat, gradients = at::kFloat;
};

// What of a parameter falls into a rank's parts: elements begin … end-1 of it, at `place` of the rank's own buffer,
// which is its parts of all regions behind each other.
struct FlatPiece {
  std::size_t parameter = 0;
  std::int64_t begin = 0, end = 0, place = 0;
  std::int64_t count() const { return end - begin; }
};

class FlatLayout {
 public:
  // `gradients`: the dtype of each parameter's gradient; empty: float32.
  FlatLayout(const std::vector<at::Tensor>& parameters, std::int64_t ranks, std::vector<at::ScalarType> gradients = {});

  std::int64_t own_size() const { return size_ / ranks_; }          // of one rank's parts
  std::int64_t offset(std::size_t i) const { return offsets_[i]; }  // of parameter i in the buffer
  const std::vector<FlatRegion>& regions() const { return regions_; }
  std::vector<FlatPiece> pieces(std::int64_t rank) const;  // in the order of the buffer, none empty

  // Parameter i as a view of a buffer with this layout, which is one tensor (ranks × part) for each region.
  at::Tensor view(const std::vector<at::Tensor>& buffer, std::size_t i) const;

 private:
  std::int64_t ranks_, size_ = 0;
  std::vector<std::int64_t> offsets_, counts_;
  std::vector<std::size_t> region_of_;
  std::vector<std::vector<std::int64_t>> shapes_;
  std::vector<FlatRegion> regions_;
  std::vector<std::size_t> order_;  // parameters as they lie in the buffer
};

}  // namespace espalier
