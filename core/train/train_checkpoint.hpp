// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a training run: iter_0000200/ with model.safetensors, optimizer.safetensors (of several ranks one file
// for each, optimizer-00001-of-00002.safetensors), state.json and timings.json (the one file that does not repeat from
// run to run), and a file `latest` beside the folders that names the newest. Of several ranks rank 0 does all that is
// done once; the folder is one that all of them see.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/train/optimizer.hpp"

namespace espalier {

// Where a run stands. Everything else that training needs is a function of the step.
struct TrainState {
  std::int64_t step = 0;    // steps done
  std::int64_t tokens = 0;  // tokens seen
  double seconds = 0.0;     // of all sessions of the run together
};

class TrainCheckpoints {
 public:
  // `names`: of the optimizer's parameters, in its order.
  // Checkpoints at multiples of `save_every` and at `last_step` are scheduled (without either, all are); one that a
  // signal left between them goes when the next is saved, so that a run ends with the same folders, stopped or not.
  TrainCheckpoints(const fs::path& folder, std::vector<std::string> names, std::int64_t keep_last,
                   std::int64_t save_every = 0, std::int64_t last_step = 0, Comm& comm = alone());

  // Collective. Writes the state beside its place, every rank its own part, and renames it, then removes folders that
  // are older than the last `keep_last`.
  void save(const TrainState& state, AdamW& optimizer);

  // Collective. Reads the newest whole checkpoint, of any number of ranks, into the optimizer's weights and moments. A
  // damaged one is reported in the log and the one before it is taken. Nothing there: nullopt. Throws Error when a
  // whole one belongs to another model.
  std::optional<TrainState> load(AdamW& optimizer);

  // Folder of the checkpoint last saved or loaded; empty: none.
  const fs::path& last() const { return last_; }

 private:
  // Nothing, and a warning, when the folder is not a whole checkpoint; else also the names of its files.
  std::optional<TrainState> read_state(const fs::path& folder, std::vector<std::string>& files);
  std::vector<fs::path> newest_first() const;
  void point_at_last() const;
  void remove_unfinished() const;  // what a run that was killed while it saved has left
  void remove_damaged() const;     // newer ones than what was just saved: they were passed over
  void remove_old() const;         // beyond the last `keep_last`

  fs::path folder_, last_;
  std::vector<std::string> names_;
  std::int64_t keep_last_, save_every_, last_step_;
  Comm& comm_;
};

}  // namespace espalier
