// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace espalier::plugins {

enum class Reduce { mean, l2, var };

Reduce reduce_named(const std::string& name);  // "mean", "l2" or "var"

// Step 1, inside a sample: (seq, …) float32 → (…), over the tokens.
//   mean: (1/n) Σ |a|     l2: sqrt(Σ a²), not divided by n     var: (1/n) Σ (a − m)² around the signed mean
at::Tensor reduce_tokens(const at::Tensor& sample, Reduce how);

// The same from a sample's statistics (…, 4, size): Σ|a|, Σa², mean, Σ(a − mean)² over n tokens → (…, size).
at::Tensor reduced_statistics(const at::Tensor& statistics, std::int64_t tokens, Reduce how);

// Step 2, over samples, in float64 and one sample at a time: the same numbers for every cut into micro-batches.
class SampleReduction {
 public:
  explicit SampleReduction(Reduce how = Reduce::l2, std::int64_t size = 0);
  void add(const at::Tensor& sample);  // (size)
  at::Tensor finish() const;           // (size) float64; at least one sample was added
  double samples() const;

  // l2: {n, Σs²}   mean: {n, Σs}   var: {n, mean, Σ(s − mean)²}; n is one number.
  std::vector<at::Tensor>& state() { return state_; }
  const std::vector<at::Tensor>& state() const { return state_; }
  void merge(const std::vector<at::Tensor>& later);

 private:
  Reduce how_;
  std::vector<at::Tensor> state_;
};

}  // namespace espalier::plugins
