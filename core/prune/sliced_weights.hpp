// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/checkpoint/checkpoint.hpp"
#include "core/forward/model.hpp"
#include "core/prune/plan.hpp"

namespace espalier {

// The student of a plan, cut out of the teacher's checkpoint whenever a layer is asked for: what `slice` would write,
// without writing it. Memory holds what the caller keeps and nothing else. The teacher outlives it.
class SlicedWeights final : public WeightSource {
 public:
  SlicedWeights(const Checkpoint& teacher, Plan plan, Compute compute);
  const ModelSpec& spec() const override { return plan_.student; }
  Compute compute() const override { return compute_; }
  Weights outer() override;
  Weights layer(std::int64_t layer) override;

 private:
  const Checkpoint& teacher_;
  Plan plan_;
  Compute compute_;
  std::vector<Parameter> parameters_;
};

}  // namespace espalier
