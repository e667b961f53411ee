// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl: one object a line, in step order, whatever interruptions there were.
#pragma once

#include <cstdint>

#include <nlohmann/json_fwd.hpp>

#include "core/train/append_file.hpp"

namespace espalier {

class MetricsLog {
 public:
  // Opens `path` to go on after `step`: lines of later steps (of a run that was cut off) and a torn last line are
  // removed.
  MetricsLog(const fs::path& path, std::int64_t step);

  // Appends one line, keys in the order given.
  void add(const nlohmann::ordered_json& line);

  // Waits until all lines are on the disk.
  void sync() { file_.sync(); }

 private:
  AppendFile file_;
};

}  // namespace espalier
