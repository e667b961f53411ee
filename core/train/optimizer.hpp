// SPDX-License-Identifier: Apache-2.0
// AdamW over all parameters, with gradients in flat buffers. With several ranks each keeps the state of its part of the
// buffers and updates that alone (ZeRO stage 1, arXiv 1910.02054, section 5.1).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/comm/comm.hpp"
#include "core/train/flat_layout.hpp"

namespace espalier {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;            // of tensors with two or more dimensions; norms and biases do not decay
  at::ScalarType moments = at::kFloat;  // or bfloat16: half the memory, and what a step adds is rounded
  // Of bfloat16 parameters: float32, or bfloat16, half the memory, where a sum over passes is rounded after each. Those
  // of the parameters in `float_gradients` are float32 in any case.
  at::ScalarType gradients = at::kFloat;
  std::vector<std::size_t> float_gradients = {};
};

// Owns the gradients of `parameters` (leaves of the autograd graph, updated in place). They are views into one buffer
// for each dtype, so that zeroing, their norm and their exchange are one operation each. Parameters are float32 or
// bfloat16; those of bfloat16 have 16 more bits here, together a float32, which is what is trained and saved. With
// several ranks the parameters move into flat buffers too, and begin as rank 0 has them. Collective then: construction,
// begin_with, reduce_gradients, step, restored and whole_weight.
class AdamW {
 public:
  AdamW(std::vector<at::Tensor> parameters, const AdamWOptions& options, Comm& comm = alone());
  AdamW(const AdamW&) = delete;
  AdamW& operator=(const AdamW&) = delete;
  ~AdamW();  // takes the gradients away from the parameters

  void zero_gradients();

  // The gradient of parameter i, of this rank's sequences, to add to by hand.
  at::Tensor& gradient(std::size_t i) { return gradients_[i]; }

  // Once before each step: this rank's part of the gradients becomes the sum over ranks. The others' are used up.
  void reduce_gradients();
  // Σ of squares over this rank's part of the gradients, () float64 on the device, after reduce_gradients.
  at::Tensor gradient_squares() const;

  // One update with gradients multiplied by `gradient_factor` (clipping: norm limit / norm). Gradients may change.
  void step(double learning_rate, double gradient_factor = 1.0);

  // What this rank keeps the state of, all parameters where there is one rank. The state, one tensor for each piece:
  // trained weights, float32; first and second moment, to save or to write into. Shaped like the parameter where the
  // piece is all of it.
  const std::vector<FlatPiece>& pieces() const { return pieces_; }
  at::Tensor weight(std::size_t k) const;
  void set_weight(std::size_t k, const at::Tensor& weight);
  std::vector<at::Tensor>& first_moments() { return first_; }
  std::vector<at::Tensor>& second_moments() { return second_; }
  std::int64_t steps() const { return steps_; }
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  // The trained weight of parameter i, float32, put together from all ranks.
  at::Tensor whole_weight(std::size_t i);
  // Before the first step: the trained weights of bfloat16 parameters begin as `start` says, where it says anything
  // (whole tensors, of any dtype).
  void begin_with(const std::function<at::Tensor(std::size_t parameter)>& start);
  // After the state was written into from outside.
  void restored(std::int64_t steps);

 private:
  void move_parameters();  // into flat buffers
  void make_state();
  void update_group(const std::vector<std::size_t>& group, double learning_rate, double weight_decay, double factor);
  void update_piece(std::size_t k, double learning_rate, double weight_decay, double factor);
  void publish();  // this rank's parts of the parameters → all ranks
  std::size_t own_piece(std::size_t parameter) const;
  at::Tensor own_part(const at::Tensor& region, std::int64_t part) const;

  AdamWOptions options_;
  Comm& comm_;
  std::vector<at::Tensor> parameters_;
  FlatLayout layout_;
  at::TensorOptions floats_;
  std::vector<at::Tensor> flat_gradients_;   // of each region
  std::vector<at::Tensor> flat_parameters_;  // of each region, several ranks only
  std::vector<at::Tensor> gradients_;        // of each parameter
  std::vector<FlatPiece> pieces_;
  // Of each piece: its part of the parameter itself, and the 16 bits behind bfloat16.
  std::vector<at::Tensor> own_gradients_, weights_, rests_, first_, second_;
  at::Tensor step_count_;  // float32 scalar, shared by all pieces
  std::int64_t steps_ = 0;
  std::vector<std::size_t> decayed_, plain_;  // pieces that LibTorch's fused kernel updates, group by group
  std::vector<std::size_t> single_;           // the others
};

}  // namespace espalier
