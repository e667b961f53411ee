// SPDX-License-Identifier: Apache-2.0
// One table over finished runs: what each costs and what it reached, before and after distillation.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace espalier {

// One model at one moment: numbers of an evaluation.
struct Measured {
  std::optional<double> nll;  // nats per predicted token; none without validation data
  std::optional<double> bits_per_byte;
  std::vector<std::pair<std::string, double>> sources;  // name → bits per byte (nll where bytes are unknown)
  struct Task {
    std::string name;
    double accuracy = 0.0;
    std::optional<double> error;  // standard error
  };
  std::vector<Task> tasks;
};

struct RunSummary {
  std::string name;
  fs::path exported;
  std::int64_t parameters = 0, non_embedding_parameters = 0, bytes = 0;
  std::int64_t tokens = 0;  // of the run's training
  double seconds = 0.0;     // of all its stages
  bool pruned = false;
  std::optional<Measured> teacher, before, after;  // before: the student that training starts from
};

// Reads plan.json, eval.json, timings.json of a run directory. Error when it has no evaluation.
RunSummary summarize(const fs::path& run);

std::string comparison_text(const std::vector<RunSummary>& runs);
nlohmann::json comparison_json(const std::vector<RunSummary>& runs);

// What was seen, in plain sentences that follow from the numbers alone.
std::string comparison_sentence(const std::vector<RunSummary>& runs);

}  // namespace espalier
