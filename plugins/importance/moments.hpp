// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {

// Mean and variance of channels over all tokens, in float64, one sample at a time. Samples are put together as Chan,
// Golub and LeVeque do: "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
class TokenMoments {
 public:
  explicit TokenMoments(std::int64_t size = 0);
  void add(const at::Tensor& sample);  // (tokens, size) of any dtype
  // The same from what is known of a sample: its tokens (at least 1), their mean and Σ(x − mean)², (size) float64.
  void add(std::int64_t tokens, const at::Tensor& mean, const at::Tensor& deviations);
  double tokens() const;
  at::Tensor variance() const;        // Σ(x − mean)² / (n − 1); 0 for a single token
  at::Tensor sum_of_squares() const;  // Σx²

  std::vector<at::Tensor>& state() { return state_; }  // {n, mean, Σ(x − mean)²}; n is one number
  const std::vector<at::Tensor>& state() const { return state_; }
  void merge(const std::vector<at::Tensor>& later);

 private:
  std::vector<at::Tensor> state_;
};

}  // namespace espalier::plugins
