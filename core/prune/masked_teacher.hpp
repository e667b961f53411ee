// SPDX-License-Identifier: Apache-2.0
// The teacher that a student must equal: all its weights, with its own code for the folds, and hooks that multiply the
// pruned units by zero. Nothing here goes through the slicer.
#pragma once

#include "core/checkpoint/checkpoint.hpp"
#include "core/forward/model.hpp"
#include "core/prune/plan.hpp"

namespace espalier {

// The teacher's weights with what the plan folds folded in: whole tensors, in place, in float32, then rounded to the
// stored dtype. One layer in memory at a time.
class FoldedTeacher final : public WeightSource {
 public:
  FoldedTeacher(const Checkpoint& teacher, const Plan& plan, Compute compute);  // both outlive it
  const ModelSpec& spec() const override { return teacher_.spec(); }
  Compute compute() const override { return compute_; }
  Weights outer() override;
  Weights layer(std::int64_t layer) override;

 private:
  const Checkpoint& teacher_;
  const Plan& plan_;
  Compute compute_;
};

// Multiplies the pruned units by zero wherever they appear.
class MaskingHooks final : public Hooks {
 public:
  explicit MaskingHooks(const Plan& plan);  // which outlives it
  at::Tensor at_tap(Tap tap, std::int64_t layer, const at::Tensor& x) override;
  at::Tensor into_residual(std::int64_t layer, const at::Tensor& x) override;
  at::Tensor kept_hidden() override { return hidden_; }
  at::Tensor kept_head(std::int64_t layer) override;

 private:
  const Plan& plan_;
  at::Tensor hidden_;
};

}  // namespace espalier
