// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl: one object a line, in step order, whatever interruptions there were.
#pragma once

#include <cstdint>

#include <nlohmann/json_fwd.hpp>

#include "core/base/files.hpp"

namespace espalier {

class MetricsLog {
 public:
  // Opens `path` to go on after `step`: lines of later steps (of a run that was cut off) and a torn last line are
  // removed.
  MetricsLog(const fs::path& path, std::int64_t step);
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;
  ~MetricsLog();

  // Appends one line, keys in the order given.
  void add(const nlohmann::ordered_json& line);

  // Waits until all lines are on the disk.
  void sync();

 private:
  fs::path path_;
  int descriptor_ = -1;
};

}  // namespace espalier
