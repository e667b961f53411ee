// SPDX-License-Identifier: Apache-2.0
#include "core/report/comparison.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/report/table.hpp"

namespace espalier {

namespace {

using nlohmann::json;

Measured measured_from(const json& eval) {
  Measured result;
  if (eval.contains("nll")) result.nll = eval["nll"].get<double>();
  if (eval.contains("bits_per_byte") && eval["bits_per_byte"].is_number())
    result.bits_per_byte = eval["bits_per_byte"].get<double>();
  for (const json& source : eval.value("sources", json::array())) {
    const bool bytes = source.contains("bits_per_byte") && source["bits_per_byte"].is_number();
    result.sources.emplace_back(source.at("name").get<std::string>(),
                                source.at(bytes ? "bits_per_byte" : "nll").get<double>());
  }
  const json tasks = eval.value("tasks", json::object());
  for (const auto& [name, task] : tasks.items()) {
    result.tasks.push_back({name, task.at("accuracy").get<double>(), std::nullopt});
    if (task.at("accuracy_stderr").is_number()) result.tasks.back().error = task["accuracy_stderr"].get<double>();
  }
  return result;
}

std::string optional_number(const std::optional<double>& number, int digits) {
  return number ? fmt::format("{:.{}f}", *number, digits) : "-";
}

std::optional<double> nll_of(const std::optional<Measured>& measured) {
  return measured ? measured->nll : std::nullopt;
}
std::optional<double> bits_of(const std::optional<Measured>& measured) {
  return measured ? measured->bits_per_byte : std::nullopt;
}

json to_json(const std::optional<Measured>& measured) {
  if (!measured) return nullptr;
  const auto number = [](const std::optional<double>& value) { return value ? json(*value) : json(nullptr); };
  json sources = json::object(), tasks = json::object();
  for (const auto& [name, bits] : measured->sources) sources[name] = bits;
  for (const Measured::Task& task : measured->tasks)
    tasks[task.name] = {{"accuracy", task.accuracy}, {"accuracy_stderr", number(task.error)}};
  return {{"nll", number(measured->nll)},
          {"bits_per_byte", number(measured->bits_per_byte)},
          {"sources", sources},
          {"tasks", tasks}};
}

// Final bits per byte where all runs have them, else nll.
double score_of(const Measured& measured) { return measured.bits_per_byte.value_or(*measured.nll / std::log(2.0)); }

bool has_loss(const std::optional<Measured>& measured) { return measured && measured->nll; }

// Rows of bits per byte on each source, when there are several.
std::string source_table(const std::vector<RunSummary>& runs) {
  std::vector<std::string> names;
  for (const RunSummary& run : runs) {
    if (!run.after) continue;
    for (const auto& [name, bits] : run.after->sources) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  if (names.size() < 2) return "";
  std::vector<std::vector<std::string>> rows = {{"bits per byte, after", "mix"}};
  rows[0].insert(rows[0].end(), names.begin(), names.end());
  for (const RunSummary& run : runs) {
    if (!run.after) continue;
    std::vector<std::string> row = {run.name, optional_number(bits_of(run.after), 3)};
    for (const std::string& name : names) {
      const auto& sources = run.after->sources;
      const auto found =
          std::find_if(sources.begin(), sources.end(), [&](const auto& entry) { return entry.first == name; });
      row.push_back(found == sources.end() ? "-" : fmt::format("{:.3f}", found->second));
    }
    rows.push_back(std::move(row));
  }
  return "\n" + text_table(rows);
}

// A column of accuracies for each choice task, a row for each model that a run measured.
std::string task_table(const std::vector<RunSummary>& runs) {
  std::vector<std::string> header = {"accuracy"};
  std::vector<std::pair<std::string, const Measured*>> models;
  for (const RunSummary& run : runs) {
    for (const auto& [when, measured] :
         {std::pair(", teacher", &run.teacher), std::pair(", before", &run.before), std::pair("", &run.after)}) {
      if (!*measured || (*measured)->tasks.empty()) continue;
      models.emplace_back(run.name + when, &**measured);
      for (const Measured::Task& task : (*measured)->tasks) {
        if (std::find(header.begin(), header.end(), task.name) == header.end()) header.push_back(task.name);
      }
    }
  }
  if (models.empty()) return "";
  std::vector<std::vector<std::string>> rows = {header};
  for (const auto& [name, model] : models) {
    std::vector<std::string> row = {name};
    for (std::size_t column = 1; column < header.size(); ++column) {
      const auto found = std::find_if(model->tasks.begin(), model->tasks.end(),
                                      [&](const Measured::Task& task) { return task.name == header[column]; });
      row.push_back(found == model->tasks.end() ? "-"
                    : found->error              ? fmt::format("{:.4f} ± {:.4f}", found->accuracy, *found->error)
                                                : fmt::format("{:.4f}", found->accuracy));
    }
    rows.push_back(std::move(row));
  }
  return "\n" + text_table(rows);
}

}  // namespace

RunSummary summarize(const fs::path& run) {
  if (!fs::exists(run / "eval.json")) {
    fail("{}: nothing to compare; got no eval.json in it; expected a finished run with validation data or choice tasks",
         run.string());
  }
  RunSummary summary;
  const fs::path plain = run.has_filename() ? run : run.parent_path();
  summary.name = plain.filename().string();
  summary.exported = run / "export";
  const json eval = read_json(run / "eval.json");
  summary.after = measured_from(eval);
  // Students are held against the model that taught them, which in a family need not be the one they are cut from.
  for (const char* teacher : {"teacher", "distill_teacher"}) {
    if (eval.contains(teacher)) summary.teacher = measured_from(eval[teacher]);
  }
  if (eval.contains("before")) summary.before = measured_from(eval["before"]);
  const json& model = eval.at("model_counts");
  summary.parameters = model.at("parameters").get<std::int64_t>();
  summary.non_embedding_parameters = model.at("non_embedding_parameters").get<std::int64_t>();
  summary.bytes = model.at("bytes").get<std::int64_t>();
  summary.tokens = eval.value("training_tokens", std::int64_t{0});
  summary.pruned = fs::exists(run / "plan.json");
  if (fs::exists(run / "timings.json")) {
    const json timings = read_json(run / "timings.json");
    for (const auto& [stage, seconds] : timings.items()) summary.seconds += seconds.get<double>();
  }
  return summary;
}

std::string comparison_text(const std::vector<RunSummary>& runs) {
  std::vector<std::vector<std::string>> rows = {{"run", "parameters", "non-embedding", "bytes", "nll before",
                                                 "nll after", "bpb before", "bpb after", "tokens", "seconds"}};
  for (const RunSummary& run : runs) {
    rows.push_back({run.name, with_commas(run.parameters), with_commas(run.non_embedding_parameters),
                    human_bytes(static_cast<double>(run.bytes)), optional_number(nll_of(run.before), 4),
                    optional_number(nll_of(run.after), 4), optional_number(bits_of(run.before), 3),
                    optional_number(bits_of(run.after), 3), human_count(static_cast<double>(run.tokens)),
                    fmt::format("{:.0f}", run.seconds)});
  }
  return text_table(rows) + source_table(runs) + task_table(runs);
}

json comparison_json(const std::vector<RunSummary>& runs) {
  json list = json::array();
  for (const RunSummary& run : runs) {
    list.push_back({{"name", run.name},
                    {"parameters", run.parameters},
                    {"non_embedding_parameters", run.non_embedding_parameters},
                    {"bytes", run.bytes},
                    {"tokens", run.tokens},
                    {"seconds", run.seconds},
                    {"export", run.exported.string()},
                    {"teacher", to_json(run.teacher)},
                    {"before", to_json(run.before)},
                    {"after", to_json(run.after)}});
  }
  return {{"runs", list}, {"sentence", comparison_sentence(runs)}};
}

std::string comparison_sentence(const std::vector<RunSummary>& runs) {
  std::vector<const RunSummary*> students;
  for (const RunSummary& run : runs) {
    if (run.pruned && has_loss(run.after) && has_loss(run.before) && has_loss(run.teacher)) students.push_back(&run);
  }
  if (students.empty()) return "";
  std::sort(students.begin(), students.end(),
            [](auto* a, auto* b) { return score_of(*a->after) < score_of(*b->after); });
  std::string text;
  for (const RunSummary* run : students) {
    const double teacher = score_of(*run->teacher), cost = score_of(*run->before) - teacher;
    const double left = score_of(*run->after) - teacher;
    text +=
        fmt::format("{}: starts {:.2f} bits per byte above the teacher, ends {:.2f} above it", run->name, cost, left);
    text += cost > 0 ? fmt::format(" ({:.0f} % of the damage repaired). ", 100.0 * (1.0 - left / cost)) : ". ";
  }
  if (students.size() > 1) {
    text +=
        fmt::format("{} ends ahead: {:.3f} bits per byte below {}, at {:+.1f} % non-embedding parameters.",
                    students[0]->name, score_of(*students[1]->after) - score_of(*students[0]->after), students[1]->name,
                    100.0 * (static_cast<double>(students[0]->non_embedding_parameters) /
                                 static_cast<double>(students[1]->non_embedding_parameters) -
                             1.0));
    text += " One seed and one teacher each: a measurement, not yet a verdict.";
  }
  return text;
}

}  // namespace espalier
