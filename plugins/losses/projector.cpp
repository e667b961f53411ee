// SPDX-License-Identifier: Apache-2.0
#include "projector.hpp"

#include <cmath>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

namespace espalier::plugins {
namespace {

// splitmix64: the number at one position of the stream that `seed` names. From 0 to almost 1.
double draw(std::uint64_t seed, std::uint64_t position) {
  std::uint64_t word = seed + (position + 1) * 0x9E3779B97F4A7C15u;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((word ^ (word >> 31)) >> 40) * 0x1p-24;
}

}  // namespace

std::vector<at::Tensor> projectors(std::int64_t count, std::int64_t from, std::int64_t to, std::uint64_t seed) {
  std::vector<at::Tensor> tensors;
  const double bound = std::sqrt(3.0 / static_cast<double>(from));
  std::uint64_t position = 0;
  for (std::int64_t map = 0; map < count; ++map) {
    at::Tensor weight = at::empty({to, from}, at::kFloat);
    float* out = weight.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      out[i] = static_cast<float>((2.0 * draw(seed, position++) - 1.0) * bound);
    }
    tensors.push_back(weight);
    tensors.push_back(at::zeros({to}, at::kFloat));
  }
  return tensors;
}

at::Tensor projected(const FeatureRows& rows) {
  const std::vector<at::Tensor>& maps = rows.parameters;
  if (maps.empty()) return rows.student;
  const std::size_t first = maps.size() == 2 ? 0 : 2 * static_cast<std::size_t>(rows.pair);
  return at::linear(rows.student, maps.at(first), maps.at(first + 1));
}

}  // namespace espalier::plugins
