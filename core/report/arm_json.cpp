// SPDX-License-Identifier: Apache-2.0
#include "core/report/arm_json.hpp"

#include <cmath>
#include <functional>
#include <set>

#include "core/stats/quantiles.hpp"

namespace espalier {
namespace {

using nlohmann::json;

json at(const json& object, std::initializer_list<const char*> path) {
  const json* here = &object;
  for (const char* key : path) {
    if (!here->is_object() || !here->contains(key)) return nullptr;
    here = &(*here)[key];
  }
  return *here;
}

json mean_of(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// mean, sd, and the t interval of the mean; null where there is nothing to take it from.
json summary_of(const std::vector<double>& values, double level) {
  json summary = {{"mean", mean_of(values)}, {"sd", nullptr}, {"low", nullptr}, {"high", nullptr}};
  if (values.size() < 2) return summary;
  const auto count = static_cast<double>(values.size());
  const double mean = summary["mean"].get<double>();
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double sd = std::sqrt(squares / (count - 1.0));
  const double half = t_quantile(0.5 + level / 2, count - 1.0) * sd / std::sqrt(count);
  summary["sd"] = sd, summary["low"] = mean - half, summary["high"] = mean + half;
  return summary;
}

using Pick = std::function<json(const RunRecord&)>;

// The runs that have the number.
std::vector<double> numbers(const Arm& arm, const Pick& pick) {
  std::vector<double> values;
  for (const RunRecord& run : arm.runs) {
    const json value = pick(run);
    if (value.is_number()) values.push_back(value.get<double>());
  }
  return values;
}

json losses_of(const Arm& arm, const std::function<json(const RunRecord&)>& model, double level) {
  json result;
  for (const char* key : {"nll", "bits_per_byte"})
    result[key] = summary_of(numbers(arm, [&](const RunRecord& run) { return at(model(run), {key}); }), level);
  return result;
}

// Bits per byte of each source, nll where the bytes are unknown.
json sources_of(const Arm& arm) {
  std::vector<std::string> names;
  for (const json& source : arm.runs.front().eval.value("sources", json::array()))
    names.push_back(source.value("name", ""));
  json result = json::object();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const json summary = summary_of(numbers(arm,
                                            [&](const RunRecord& run) -> json {
                                              const json sources = run.eval.value("sources", json::array());
                                              if (i >= sources.size()) return nullptr;
                                              const json bits = at(sources[i], {"bits_per_byte"});
                                              return bits.is_number() ? bits : at(sources[i], {"nll"});
                                            }),
                                    0.95);
    result[names[i]] = {{"mean", summary["mean"]}, {"sd", summary["sd"]}};
  }
  return result;
}

// Mean accuracy over the runs. The standard error is that of the items, which all runs answer: seeds do not lessen it.
json tasks_of(const Arm& arm, const std::function<json(const RunRecord&)>& model) {
  const json first = at(model(arm.runs.front()), {"tasks"});
  json result = json::object();
  if (!first.is_object()) return result;
  for (const auto& [name, task] : first.items()) {
    const auto values = [&](const char* key) {
      return numbers(arm, [&](const RunRecord& run) { return at(model(run), {"tasks", name.c_str(), key}); });
    };
    result[name] = {{"mean", mean_of(values("accuracy"))}, {"stderr", mean_of(values("accuracy_stderr"))}};
  }
  return result;
}

json speed_of(const json& speed, const std::string& name) {
  for (const json& model : speed.is_object() ? speed.value("models", json::array()) : json::array()) {
    if (model.value("name", "") == name) return model;
  }
  return nullptr;
}

json after(const RunRecord& run) { return run.eval; }
json before(const RunRecord& run) { return at(run.eval, {"before"}); }
json teacher(const RunRecord& run) { return run.teacher(); }

json mean_number(const Arm& arm, const Pick& pick) {
  const json mean = mean_of(numbers(arm, pick));
  if (!mean.is_number() || mean.get<double>() != std::floor(mean.get<double>())) return mean;
  return static_cast<std::int64_t>(mean.get<double>());
}

}  // namespace

json arm_to_json(const Arm& arm, double level, const json& speed) {
  json result = {{"name", arm.name}, {"runs", json::array()}, {"speed", speed_of(speed, arm.name)}};
  for (const RunRecord& run : arm.runs) result["runs"].push_back(run.ref.name);
  for (const char* key : {"parameters", "non_embedding_parameters", "bytes"})
    result[key] = mean_number(arm, [&](const RunRecord& run) { return at(run.eval, {"model_counts", key}); });
  for (const char* key : {"kv_bytes_per_token", "flops_per_token"}) {
    result[key] = mean_number(arm, [&](const RunRecord& run) {
      const json counted = at(run.eval, {"model_counts", key});
      return counted.is_number() ? counted : at(run.plan, {"student", key});
    });
  }
  result["tokens"] = mean_number(arm, [](const RunRecord& run) { return at(run.eval, {"training_tokens"}); });
  result["seconds"] =
      mean_of(numbers(arm, [](const RunRecord& run) { return run.seconds ? json(*run.seconds) : json(nullptr); }));
  result["teacher"] = {};
  for (const char* key : {"nll", "bits_per_byte"})
    result["teacher"][key] = mean_of(numbers(arm, [&](const RunRecord& run) { return at(run.teacher(), {key}); }));
  result["before"] = losses_of(arm, before, level);
  result["after"] = losses_of(arm, after, level);
  result["sources"] = sources_of(arm);
  result["tasks"] = tasks_of(arm, after);
  result["tasks_before"] = tasks_of(arm, before);
  result["tasks_teacher"] = tasks_of(arm, teacher);
  result["pruned"] = arm.runs.front().plan.is_object();
  return result;
}

json run_to_json(const RunRecord& run) {
  const auto measured = [&](std::initializer_list<const char*> path) {
    return run.finished() ? at(run.eval, path) : json(nullptr);
  };
  return {{"name", run.ref.name},
          {"arm", run.ref.arm},
          {"seed", run.ref.seed ? json(*run.ref.seed) : json(nullptr)},
          {"teacher", run.ref.teacher},
          {"folder", run.ref.folder.filename().string()},
          {"state", run.ref.state},
          {"error", run.ref.error},
          {"nll", measured({"nll"})},
          {"bits_per_byte", measured({"bits_per_byte"})},
          {"before_nll", measured({"before", "nll"})},
          {"before_bits_per_byte", measured({"before", "bits_per_byte"})},
          {"tasks", measured({"tasks"})},
          {"parameters", measured({"model_counts", "parameters"})},
          {"non_embedding_parameters", measured({"model_counts", "non_embedding_parameters"})},
          {"bytes", measured({"model_counts", "bytes"})},
          {"tokens", measured({"training_tokens"})},
          {"seconds", run.seconds ? json(*run.seconds) : json(nullptr)}};
}

json teachers_to_json(const std::vector<Arm>& arms, const json& speed) {
  json teachers = json::array();
  std::set<std::string> seen;
  for (const Arm& arm : arms) {
    for (const RunRecord& run : arm.runs) {
      const json measured = run.teacher();
      if (!measured.is_object() || !seen.insert(run.ref.teacher).second) continue;
      json entry = {{"name", run.ref.teacher.empty() ? "teacher" : run.ref.teacher}};
      for (const char* key : {"nll", "bits_per_byte"}) entry[key] = at(measured, {key});
      for (const char* key :
           {"parameters", "non_embedding_parameters", "bytes", "kv_bytes_per_token", "flops_per_token"})
        entry[key] = at(run.plan, {"teacher", key});
      entry["speed"] = speed_of(speed, "teacher:" + entry["name"].get<std::string>());
      teachers.push_back(std::move(entry));
    }
  }
  return teachers;
}

}  // namespace espalier
