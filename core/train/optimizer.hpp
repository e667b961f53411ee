// SPDX-License-Identifier: Apache-2.0
// AdamW over all parameters in two fused calls, with gradients in one flat buffer.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace espalier {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;  // of tensors with two or more dimensions; norms and biases do not decay
};

// Owns the gradients of `parameters` (leaves of the autograd graph, updated in place). They are views into one buffer,
// so that zeroing and their norm are one operation each. Parameters of a narrower dtype than float32 get a float32
// master, which is what is trained and saved.
class AdamW {
 public:
  AdamW(std::vector<at::Tensor> parameters, const AdamWOptions& options);
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;
  ~AdamW();  // takes the gradients away from the parameters

  // After each backward pass: moves what the pass left in .grad to the float32 gradients. Nothing to do for float32.
  void collect();
  void zero_gradients();

  // The float32 gradient of parameter i, to add to by hand.
  at::Tensor& gradient(std::size_t i) { return gradients_[i]; }

  // L2 norm over all gradients.
  double gradient_norm() const;

  // One update with gradients multiplied by `gradient_factor` (clipping: norm limit / norm). Gradients may change.
  void step(double learning_rate, double gradient_factor = 1.0);

  // State, one tensor per parameter, float32: trained weights, first and second moment. To save, or to write into.
  std::vector<at::Tensor>& weights() { return weights_; }
  std::vector<at::Tensor>& first_moments() { return first_; }
  std::vector<at::Tensor>& second_moments() { return second_; }
  std::int64_t steps() const { return steps_; }
  // After the state was written into from outside.
  void restored(std::int64_t steps);

 private:
  void update(const std::vector<std::size_t>& group, double learning_rate, double weight_decay,
              const at::Tensor& divisor);
  void publish();  // masters → parameters

  AdamWOptions options_;
  std::vector<at::Tensor> parameters_, weights_, gradients_, first_, second_;
  at::Tensor flat_gradient_;
  at::Tensor step_count_;  // float32 scalar, shared by all parameters
  std::int64_t steps_ = 0;
  std::vector<std::size_t> decayed_, plain_;
  bool masters_ = false;
};

}  // namespace espalier
