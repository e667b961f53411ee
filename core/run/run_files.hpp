// SPDX-License-Identifier: Apache-2.0
// Where things are in a run directory (design: files and outputs).
#pragma once

#include "core/base/files.hpp"

namespace espalier {

struct RunFiles {
  fs::path root;
  fs::path recipe() const { return root / "recipe.toml"; }
  fs::path lock() const { return root / "recipe.lock.toml"; }
  fs::path plan() const { return root / "plan.json"; }
  fs::path search() const { return root / "search.json"; }
  fs::path search_work() const { return root / "search"; }  // one folder for each candidate, while they compete
  fs::path scores() const { return root / "scores"; }
  fs::path teacher() const { return root / "teacher"; }  // after [correct]
  fs::path student() const { return root / "student"; }  // as sliced, before distillation
  fs::path checkpoints() const { return root / "checkpoints"; }
  fs::path exported() const { return root / "export"; }
  fs::path verify() const { return root / "verify.json"; }
  fs::path teacher_cache() const { return root / "teacher_cache.json"; }
  fs::path eval() const { return root / "eval.json"; }
  fs::path documents() const { return root / "documents"; }  // losses of each evaluated model, document by document
  fs::path metrics() const { return root / "metrics.jsonl"; }
  fs::path tensorboard() const { return root / "tensorboard"; }  // a folder of events for each stage that trains
  fs::path ledger() const { return root / "stages.json"; }
  fs::path timings() const {
    return root / "timings.json";
  }  // the one file, beside the logs, that holds wall-clock time
  fs::path log() const { return root / "log.txt"; }
  // What runs share: packed tokens, scores, what teachers say, evaluations, each named by the digest of all that went
  // into it. Beside the run; of a run in a sweep's folder beside the sweep, so that sweeps and single runs share one.
  fs::path cache() const;
  fs::path teacher_caches() const { return cache() / "teacher"; }  // one folder for each form of a cache
};

inline constexpr const char* kSweepFile = "sweep.json";  // in the folder of a sweep

}  // namespace espalier
