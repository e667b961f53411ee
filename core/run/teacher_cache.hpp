// SPDX-License-Identifier: Apache-2.0
// [teacher_cache] of a run: where its cache lies, what it holds, and the teacher as a training sees it through it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "core/run/run.hpp"
#include "core/train/teacher_cache.hpp"

namespace espalier {

// What of the table changes a student; "" without one.
std::string teacher_cache_text(const Recipe& recipe);

// The teacher of a training: the whole model, or a cache and as much of the model as that does not replace.
struct Teaching {
  std::unique_ptr<WeightSource> weights;  // nullptr where the cache needs none
  std::optional<TeacherCache> cache;
};

// With [teacher_cache], every window that `block` sees is in the cache afterwards: what is missing or damaged is
// computed, while other runs that need the same cache wait.
Teaching open_teaching(Run& run, const TrainBlock& block);

// Fills the cache for [distill] and returns what it lost, for people and for teacher_cache.json.
nlohmann::json filled_teacher_cache(Run& run);

// What `espalier plan` can say before anything is read: content, windows, tokens and bytes, all at most.
nlohmann::json teacher_cache_plan(const Run& run);
std::string teacher_cache_line(const nlohmann::json& plan);

}  // namespace espalier
