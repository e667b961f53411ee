// SPDX-License-Identifier: Apache-2.0
#include "moments.hpp"

#include <ATen/ops/full.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "state.hpp"

namespace espalier::plugins {

TokenMoments::TokenMoments(std::int64_t size) : state_{zeros(1), zeros(size), zeros(size)} {}

double TokenMoments::tokens() const { return state_[0].item<double>(); }

void TokenMoments::add(const at::Tensor& sample) {
  if (sample.size(0) == 0) return;
  constexpr std::int64_t kPiece = 1 << 22;  // elements: 32 MiB of float64. The cut depends on the sample alone
  for (const at::Tensor& piece : sample.split(std::max<std::int64_t>(kPiece / sample.size(1), 1))) {
    const at::Tensor x = piece.to(at::kDouble), mean = x.mean(0), difference = x - mean;
    merge({at::full({1}, x.size(0), x.options()), mean, (difference * difference).sum(0)});
  }
}

at::Tensor TokenMoments::variance() const { return state_[2] / (state_[0] - 1).clamp_min(1); }

at::Tensor TokenMoments::sum_of_squares() const { return state_[2] + state_[0] * state_[1] * state_[1]; }

void TokenMoments::add(std::int64_t tokens, const at::Tensor& mean, const at::Tensor& deviations) {
  for (at::Tensor& tensor : state_) tensor = tensor.to(mean.device());  // moves once, with the first sample
  const double added = static_cast<double>(tokens);
  const at::Tensor n = state_[0] + added, difference = mean - state_[1];
  state_[1] = state_[1] + difference * (added / n);
  state_[2] = state_[2] + deviations + difference * difference * (state_[0] * added / n);
  state_[0] = n;
}

void TokenMoments::merge(const std::vector<at::Tensor>& later) {
  const at::Device device = later[1].device();
  for (at::Tensor& tensor : state_) tensor = tensor.to(device);  // moves once, with the first sample
  if (later[0].item<double>() == 0) return;
  const at::Tensor n = state_[0] + later[0], difference = later[1] - state_[1];
  state_[1] = state_[1] + difference * (later[0] / n);
  state_[2] = state_[2] + later[2] + difference * difference * (state_[0] * later[0] / n);
  state_[0] = n;
}

}  // namespace espalier::plugins
