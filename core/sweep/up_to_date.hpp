// SPDX-License-Identifier: Apache-2.0
// Which runs need not be started at all: a sweep that is done says so at once, without reading a weight.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/sweep/expand.hpp"

namespace espalier {

// `.finished.json` in a sweep's folder: of each run that has ended, the digest of its recipe, the program, the plugins,
// the device, and sizes and times of the files that it reads. Whatever differs starts the run, which then finds out
// what is to do.
class FinishedRuns {
 public:
  FinishedRuns(const fs::path& folder, const Registry& registry, const std::string& device);
  bool has(const SweepRun& run);
  void add(const SweepRun& run);

 private:
  std::string key(const SweepRun& run);
  fs::path path_;
  const Registry& registry_;
  std::string program_;  // its digest, that of every plugin, and the device
  nlohmann::json known_ = nlohmann::json::object();
};

}  // namespace espalier
