// SPDX-License-Identifier: Apache-2.0
// The numbers of a training step, added up on the device: the host waits for them once a step.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/comm/comm.hpp"

namespace espalier {

struct StepValues {
  std::vector<double> losses;  // of each loss over the global batch, unweighted
  double total = 0.0;          // what was trained on
  double alpha = 0.0;          // what the losses on features were multiplied by, the mean over micro-batches
  double learning_rate = 0.0, gradient_norm = 0.0;
  bool interrupted = false;  // a rank told of a signal
};

class StepNumbers {
 public:
  // The recipe's weight of each loss, those on logits before those on features.
  StepNumbers(const std::vector<double>& on_logits, const std::vector<double>& on_features, at::Device device);

  void start();  // of a step
  // A micro-batch's losses, (k) float64 on the device, and its share of the step's sequences.
  void add(const at::Tensor& losses, double alpha, double share);
  // What makes the weighted sum on features as large as that on logits; 0 where a sum is not above 0. Waits for the
  // device.
  double balance(const at::Tensor& losses) const;
  // The sums over ranks, with a gradient's squares, () on the device, and whether this rank saw a signal. Collective.
  void add_up(const at::Tensor& squares, bool interrupted, Comm& comm);
  StepValues read() const;  // waits for what the current stream was given

 private:
  at::Tensor on_logits_, on_features_;  // (k) float64: the weights of one kind, 0 for the other
  at::Tensor sums_;                     // (k + 4) float64: losses, total, alpha, squares, signals
};

}  // namespace espalier
