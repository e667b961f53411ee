// SPDX-License-Identifier: Apache-2.0
#include "hidden_loss.hpp"

#include <ATen/core/Tensor.h>

#include "projector.hpp"

namespace espalier::plugins {

FeaturePlan HiddenLoss::plan(const ModelSpec& student, const ModelSpec& teacher) const {
  FeaturePlan plan;
  plan.pairs = options_.pairs_of(student, teacher);
  if (student.hidden != teacher.hidden) {
    const std::int64_t count = options_.projector == "shared" ? 1 : static_cast<std::int64_t>(plan.pairs.size());
    plan.parameters = projectors(count, student.hidden, teacher.hidden, seed_);
  }
  return plan;
}

at::Tensor HiddenLoss::forward(const FeatureRows& rows) const { return compare(projected(rows), rows.teacher); }

}  // namespace espalier::plugins
