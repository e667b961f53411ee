// SPDX-License-Identifier: Apache-2.0
// The runs of a comparison: where they are, and what their folders say.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/eval/document_losses.hpp"

namespace espalier {

// What was measured of a model that no run measured, in the form of eval.json.
struct MeasuredModel {
  nlohmann::json eval;
  DocumentLosses documents;
};

struct RunRef {
  std::string name;
  fs::path folder;  // a run directory, or a Hugging Face folder that was measured
  std::string arm;  // empty: to be found out by comparing recipes
  std::optional<std::int64_t> seed;
  std::string teacher;         // a name; runs of several teachers are compared teacher by teacher
  std::string state = "done";  // pending, running, done, failed
  std::string error;
  std::shared_ptr<const MeasuredModel> measured;  // takes the place of what the folder says
};

// A finished run, read. Numbers stay as eval.json has them.
struct RunRecord {
  RunRef ref;
  nlohmann::json eval;                          // null: not finished
  nlohmann::json plan;                          // null: nothing was pruned
  std::optional<DocumentLosses> after, before;  // before: the student that training starts from
  std::optional<double> seconds;                // of all its stages
  bool finished() const { return eval.is_object(); }
  nlohmann::json teacher() const;  // who taught, as eval.json measured it; null
};

// A run directory as it was given on the command line: named after its folder, with its seed and teacher.
RunRef run_ref(const fs::path& folder);
bool is_run(const fs::path& folder);

// Error: a finished run without eval.json, a damaged file, losses by document that are not those of eval.json.
RunRecord read_run(const RunRef& ref);

// RecipeError unless both models were measured on the same windows of the same data in the same way; it names what
// differs. Models without losses by document are passed over.
void check_same_windows(const RunRecord& a, const RunRecord& b);

}  // namespace espalier
