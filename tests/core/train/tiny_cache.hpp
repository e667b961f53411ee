// SPDX-License-Identifier: Apache-2.0
// The teacher's cache of a tiny run.
#pragma once

#include <optional>

#include "core/base/progress.hpp"
#include "core/train/teacher_cache_fill.hpp"
#include "tests/core/train/tiny_run.hpp"

namespace espalier::reference {

inline TeacherCacheForm tiny_form(const TinyRun& run, std::int64_t kept, at::ScalarType dtype,
                                  std::int64_t shard_bytes) {
  TeacherCacheForm form;
  form.teacher = "teacher";
  form.data = "data";
  form.seq_length = TinyRun::kSequence;
  form.vocab = run.teacher.spec().vocab;
  form.hidden = run.teacher.spec().hidden;
  form.kept = kept;
  form.micro_batch = run.job.plan.micro_batch;
  form.dtype = dtype;
  form.machine = "here";
  form.shard_bytes = shard_bytes;
  return form;
}

struct TinyCache {
  TinyCache(const TinyRun& run, const fs::path& folder, std::int64_t kept, std::int64_t sequences,
            at::ScalarType dtype = at::kFloat, std::int64_t shard_bytes = 1 << 20)
      : touched(windows_of(*run.job.data, sequences)) {
    ProgressBar::disable();
    TeacherCacheJob job;
    job.folder = folder;
    job.form = tiny_form(run, kept, dtype, shard_bytes);
    job.data = run.job.data;
    job.open_teacher = [&] {
      ++teachers_opened;
      return std::make_unique<Model>(tiny_spec(24, true), 1, Compute{at::kFloat, at::kCPU});
    };
    cache.emplace(fill_teacher_cache(job, touched));
  }

  int teachers_opened = 0;
  Touched touched;
  std::optional<TeacherCache> cache;
};

}  // namespace espalier::reference
