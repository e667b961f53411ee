// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/run/run_files.hpp"

namespace espalier {

// stages.json: which inputs each stage began and ended with. A stage whose inputs are the same is not run again.
class Ledger {
 public:
  explicit Ledger(const RunFiles& files);
  // The digest of what the stage wrote, when it ended with these inputs.
  std::optional<std::string> finished(const std::string& stage, const std::string& inputs) const;
  bool knows(const std::string& stage) const { return stages_.contains(stage); }
  // Did the stage begin with these inputs, so that what lies there may be resumed?
  bool began(const std::string& stage, const std::string& inputs) const;
  void begin(const std::string& stage, const std::string& inputs);
  // A stage goes on from what earlier sessions left, which took this long: finish adds it.
  void resumed(const std::string& stage, double seconds) { earlier_[stage] = seconds; }
  void finish(const std::string& stage, const std::string& outputs, double seconds);
  double seconds(const std::string& stage) const;  // 0 when unknown

 private:
  RunFiles files_;
  nlohmann::json stages_, timings_;
  std::map<std::string, double> earlier_;
};

}  // namespace espalier
