// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/train/teacher_cache.hpp"

namespace espalier {

struct TeacherCacheJob {
  fs::path folder;
  TeacherCacheForm form;
  const TrainingStream* data = nullptr;
  std::function<std::unique_ptr<WeightSource>()> open_teacher;  // called only when a window is missing
};

// The windows that the training sees, each once, in the order in which it sees them first.
struct Touched {
  std::vector<std::int64_t> sequences;  // the first that shows the window
  std::vector<TeacherCache::Place> places;
};
Touched windows_of(const TrainingStream& data, std::int64_t sequences);

// Computes the windows that are missing, shard by shard, and returns the whole cache. Other programs that fill the same
// folder wait. Shards that are damaged, their contents included, are removed with a warning and computed anew. Stopped
// anywhere and called again, the files end with the same bytes. Error when the disk lacks the room.
TeacherCache fill_teacher_cache(const TeacherCacheJob& job, const Touched& touched);

// Throws Error when `needed` bytes do not fit into what is `free` beside the folder.
void check_room(const fs::path& folder, std::uint64_t needed, std::uint64_t free);

}  // namespace espalier
