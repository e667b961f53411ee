// SPDX-License-Identifier: Apache-2.0
#include "core/run/ledger.hpp"

namespace espalier {

namespace {
nlohmann::json read_object(const fs::path& path) {
  nlohmann::json json = fs::exists(path) ? read_json(path) : nlohmann::json::object();
  return json.is_object() ? json : nlohmann::json::object();
}
}  // namespace

Ledger::Ledger(const RunFiles& files)
    : files_(files), stages_(read_object(files.ledger())), timings_(read_object(files.timings())) {}

bool Ledger::began(const std::string& stage, const std::string& inputs) const {
  const auto entry = stages_.find(stage);
  return entry != stages_.end() && entry->value("inputs", "") == inputs;
}

std::optional<std::string> Ledger::finished(const std::string& stage, const std::string& inputs) const {
  if (!began(stage, inputs)) return std::nullopt;
  const std::string outputs = stages_[stage].value("outputs", "");
  return outputs.empty() ? std::nullopt : std::optional(outputs);
}

void Ledger::begin(const std::string& stage, const std::string& inputs) {
  if (began(stage, inputs) && stages_[stage].value("outputs", "").empty()) return;
  stages_[stage] = {{"inputs", inputs}};
  write_json(files_.ledger(), stages_);
}

void Ledger::finish(const std::string& stage, const std::string& outputs, double seconds) {
  stages_[stage]["outputs"] = outputs;
  timings_[stage] = seconds + earlier_[stage];
  write_json(files_.timings(), timings_);
  write_json(files_.ledger(), stages_);  // last: a stage without this line is run again
}

double Ledger::seconds(const std::string& stage) const { return timings_.value(stage, 0.0); }

}  // namespace espalier
