// SPDX-License-Identifier: Apache-2.0
// What the metric laboratory works on: the distinct score files of runs, and the targets at which runs chose from them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

struct LabRun {
  std::string name;
  fs::path folder;
};

// Scores of one axis by one metric from one calibration. Runs that have the same are named together.
struct LabScores {
  std::string metric, options;          // options: JSON, as in the file
  std::optional<std::int64_t> samples;  // none: the metric looks at no data
  std::int64_t seq_length = 0;
  std::string seed, calibration;  // digest of the calibration data
  std::int64_t run = 1;           // more: scores of that many consecutive units, by the first
  std::vector<std::vector<double>> layers;
  std::vector<std::string> runs;
};

// How many units of each layer some runs keep, and which, where a run's choice follows from one file of scores.
struct LabTarget {
  std::vector<std::int64_t> keep, of;
  std::vector<std::string> runs;
  std::map<std::size_t, std::vector<std::vector<std::int64_t>>> kept;  // number in LabAxis::scores → units by layer
};

struct LabAxis {
  std::string axis, teacher;  // teacher: digest of the model that was scored
  bool shared = false;        // one tensor for the whole model
  bool layers = false;        // its units are layers, or parts of them
  std::vector<std::string> runs;
  std::vector<LabScores> scores;
  std::vector<LabTarget> targets;
};

// Ascending by axis and teacher; scores and targets in the order of the runs. Scores of later rounds are left out: they
// are those of another model for each metric. Runs without scores are passed over, damaged files are an Error.
std::vector<LabAxis> read_lab_files(const std::vector<LabRun>& runs);

}  // namespace espalier
