// SPDX-License-Identifier: Apache-2.0
#include "readers.hpp"

#include <ATen/ops/cat.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

namespace espalier::plugins {

ReaderSums sum_readers(const at::Tensor& readers, const Site& site) {
  ESPALIER_CHECK(readers.dim() == 3 && readers.size(0) == site.units && readers.size(1) == site.channels, "readers ",
                 readers.sizes());
  constexpr std::int64_t kPiece = 1 << 22;  // elements: 32 MiB of float64
  const std::int64_t outputs = readers.size(2), step = std::max<std::int64_t>(kPiece / (site.channels * outputs), 1);
  std::vector<at::Tensor> absolute, square;
  for (const at::Tensor& piece : readers.split(step)) {
    const at::Tensor wide = piece.to(at::kDouble);
    absolute.push_back(wide.abs().sum(2).flatten());
    square.push_back((wide * wide).sum(2).flatten());
  }
  return {at::cat(absolute), at::cat(square), static_cast<double>(outputs)};
}

at::Tensor over_channels(const at::Tensor& values, const Site& site) {
  return values.view({site.units, site.channels}).sum(1).to(at::kCPU, at::kFloat);
}

}  // namespace espalier::plugins
