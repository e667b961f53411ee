// SPDX-License-Identifier: Apache-2.0
// AdamW over all parameters in two fused calls, with gradients in one flat buffer. With several ranks each keeps the
// state of its part of the buffer and updates that alone (ZeRO stage 1, arXiv 1910.02054, section 5.1).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/comm/comm.hpp"
#include "core/train/flat_layout.hpp"

namespace espalier {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;  // of tensors with two or more dimensions; norms and biases do not decay
};

// Owns the gradients of `parameters` (leaves of the autograd graph, updated in place). They are views into one buffer,
// so that zeroing, their norm and their exchange are one operation each. Parameters of a narrower dtype than float32
// get a float32 master, which is what is trained and saved. With several ranks the parameters move into flat buffers
// too, and begin as rank 0 has them. Collective then: construction, reduce_gradients, gradient_norm, step, restored and
// whole_weight.
class AdamW {
 public:
  AdamW(std::vector<at::Tensor> parameters, const AdamWOptions& options, Comm& comm = alone());
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;
  ~AdamW();  // takes the gradients away from the parameters

  // After each backward pass: moves what the pass left in .grad to the float32 gradients. Nothing to do for float32.
  void collect();
  void zero_gradients();

  // The float32 gradient of parameter i, of this rank's sequences, to add to by hand.
  at::Tensor& gradient(std::size_t i) { return gradients_[i]; }

  // Once before each step: this rank's part of the gradients becomes the sum over ranks. The others' are used up.
  void reduce_gradients();
  // L2 norm over all gradients, after reduce_gradients.
  double gradient_norm();

  // One update with gradients multiplied by `gradient_factor` (clipping: norm limit / norm). Gradients may change.
  void step(double learning_rate, double gradient_factor = 1.0);

  // What this rank keeps the state of, all parameters where there is one rank. The state, float32 and one tensor for
  // each piece: trained weights, first and second moment; shaped like the parameter where the piece is all of it. To
  // save, or to write into.
  const std::vector<FlatPiece>& pieces() const { return pieces_; }
  std::vector<at::Tensor>& weights() { return weights_; }
  std::vector<at::Tensor>& first_moments() { return first_; }
  std::vector<at::Tensor>& second_moments() { return second_; }
  std::int64_t steps() const { return steps_; }
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  // The trained weight of parameter i, float32, put together from all ranks.
  at::Tensor whole_weight(std::size_t i);
  // After the state was written into from outside.
  void restored(std::int64_t steps);

 private:
  void move_parameters();  // into flat buffers
  void make_state();
  void update(const std::vector<std::size_t>& group, double learning_rate, double weight_decay,
              const at::Tensor& divisor);
  void publish();  // state of all ranks → parameters
  const at::Tensor& own_weight(const FlatPiece& piece) const;
  at::Tensor own_part(const at::Tensor& region, std::int64_t part) const;

  AdamWOptions options_;
  Comm& comm_;
  std::vector<at::Tensor> parameters_;
  FlatLayout layout_;
  at::Tensor flat_gradient_;
  std::vector<at::Tensor> flat_parameters_;  // of each region, several ranks only
  std::vector<at::Tensor> gradients_;        // of each parameter
  std::vector<FlatPiece> pieces_;
  std::vector<at::Tensor> own_gradients_, weights_, first_, second_;  // of each piece
  at::Tensor step_count_;                                             // float32 scalar, shared by all pieces
  std::int64_t steps_ = 0;
  std::vector<std::size_t> decayed_, plain_;  // pieces
  bool masters_ = false;
};

}  // namespace espalier
