// SPDX-License-Identifier: Apache-2.0
// What a stage made, for every run whose stage has the same inputs. `<cache>/stages/<stage>-<digest>` names the run
// that made it first; others link its files instead of making them again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/run/pipeline.hpp"

namespace espalier {

class PathLock;

// Held while a stage that can be shared is at work. A second process with the same inputs waits in the constructor, and
// then finds what the first has made.
class SharedStage {
 public:
  SharedStage(Run& run, const Stage& stage, const std::string& inputs);
  SharedStage(const SharedStage&) = delete;
  SharedStage& operator=(const SharedStage&) = delete;
  ~SharedStage();

  // Takes over what another run has made, so that the same files are there as if this run had made them. The digest of
  // what was written; nothing when there is no such run any more, or when it holds something else than it promised.
  std::optional<std::string> take_over();
  // Names this run, whose ledger says by now that the stage has ended.
  void publish(const std::string& outputs) const;
  // After take_over(): who made it, and how long that took.
  const fs::path& maker() const { return maker_; }
  double seconds() const { return Ledger(RunFiles{maker_}).seconds(stage_.name); }

 private:
  Run& run_;
  const Stage& stage_;
  std::string inputs_;
  fs::path pointer_, maker_;
  std::unique_ptr<PathLock> lock_;
};

}  // namespace espalier
