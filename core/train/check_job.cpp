// SPDX-License-Identifier: Apache-2.0
#include "core/train/check_job.hpp"

#include "core/base/error.hpp"
#include "core/base/log.hpp"

namespace espalier {

void check(const TrainJob& job) {
  const TrainPlan& plan = job.plan;
  ESPALIER_CHECK(job.student != nullptr && job.data != nullptr && job.scheduler != nullptr &&
                     !(job.losses.empty() && job.feature_losses.empty()),
                 "incomplete job");
  ESPALIER_CHECK(job.feature_losses.empty() || job.teacher != nullptr, "a loss needs a teacher");
  ESPALIER_CHECK(job.teacher_cache == nullptr || job.feature_losses.empty(), "a cache has no hidden states of layers");
  ESPALIER_CHECK(!plan.dynamic_balance || !(job.losses.empty() || job.feature_losses.empty()),
                 "a balance between one kind of losses");
  if (plan.micro_batch <= 0 || plan.global_batch <= 0 || plan.global_batch % plan.micro_batch != 0) {
    reject("{}: global_batch is not a multiple of micro_batch; got {} and {}; expected whole micro-batches", plan.label,
           plan.global_batch, plan.micro_batch);
  }
  if (const std::int64_t each = plan.micro_batch * job.comm->size(); plan.global_batch % each != 0) {
    reject("{}: global_batch does not divide over {} ranks in micro-batches of {}; got {}; expected a multiple of {}",
           plan.label, job.comm->size(), plan.micro_batch, plan.global_batch, each);
  }
  const ModelSpec& spec = job.student->spec();
  if (job.data->max_token() >= spec.vocab) {
    fail("{}: the training data has a token outside the model's vocabulary; got token {}; expected 0 to {}", plan.label,
         job.data->max_token(), spec.vocab - 1);
  }
  if (job.teacher_cache != nullptr) {
    const TeacherCacheForm& form = job.teacher_cache->form();
    ESPALIER_CHECK(form.vocab == spec.vocab && form.seq_length == plan.seq_length, "the cache of another training");
  }
  if (plan.seq_length > spec.max_positions) {
    spdlog::warn("{}: sequences are longer than the model's positions; got seq_length {}; expected at most {}",
                 plan.label, plan.seq_length, spec.max_positions);
  }
}

}  // namespace espalier
