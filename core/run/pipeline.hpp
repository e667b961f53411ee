// SPDX-License-Identifier: Apache-2.0
// The stages in order, readable as prose. Each is a function from (inputs by digest, its own options) to files.
#pragma once

#include <string>
#include <vector>

#include "core/run/run.hpp"

namespace espalier {

// How what a stage wrote is given to other runs (shared_stage.hpp).
struct Sharing {
  std::vector<fs::path> (*products)(const Run&);  // files and folders below the run's, which nobody writes to again
  std::string (*basis)(Run&);                     // digest of what decides their bytes beside the stage's inputs
  std::string (*written)(Run&);                   // the digest of what is there, as `execute` returns it
  void (*personalise)(Run&) = nullptr;            // writes again what names the run; nullptr: nothing does
};

struct Stage {
  const char* name;
  const char* does;                      // one phrase for people
  bool (*wanted)(const Recipe&);         // does this recipe have the stage?
  std::string (*inputs)(Run&);           // digest of everything that goes in
  fs::path (*product)(const RunFiles&);  // written last: with it the stage's work is there
  std::string (*execute)(Run&);          // writes, returns the digest of what was written
  // Drops what a stage that can be resumed has left half-done with other inputs; nullptr: nothing can be resumed.
  void (*discard)(const Run&, const std::string& stage) = nullptr;
  const Sharing* sharing = nullptr;  // nullptr: every run does it itself
  // Is all that the stage wrote still what its digest says? nullptr: the product alone tells.
  bool (*intact)(const RunFiles&, const std::string& output) = nullptr;
  bool all_ranks = false;  // do all ranks execute it? Then the others return "" and write nothing that rank 0 writes
};

const std::vector<Stage>& stages();

// Runs every wanted stage up to and including `last` ("" = all) whose inputs changed. Holds the folder's lock.
// Returns the number of stages that were run. Collective: rank 0 decides, and calls the others to stages that train.
int run_pipeline(Run& run, const std::string& last);

// What run_pipeline would do, one line per stage: "score      would run" / "unchanged".
std::string describe_pipeline(const Recipe& recipe, const std::string& last);

}  // namespace espalier
