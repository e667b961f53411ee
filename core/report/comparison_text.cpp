// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/base/strings.hpp"
#include "core/report/comparison.hpp"
#include "core/report/table.hpp"

namespace espalier {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

// "1.2345", with "± 0.0021" over seeds where there are several, "-" where there is nothing.
std::string number(const json& mean, const json& spread, int digits) {
  if (!mean.is_number()) return "-";
  const std::string text = fmt::format("{:.{}f}", mean.get<double>(), digits);
  return spread.is_number() ? text + fmt::format(" ± {:.{}f}", spread.get<double>(), digits) : text;
}

std::string loss(const json& arm, const char* when, const char* what, int digits) {
  const json& summary = arm[when][what];
  return number(summary["mean"], summary["sd"], digits);
}

std::string whole(const json& value) {
  return value.is_number() ? with_commas(static_cast<std::int64_t>(value.get<double>())) : "-";
}

bool several_seeds(const json& comparison) {
  return std::any_of(comparison["arms"].begin(), comparison["arms"].end(),
                     [](const json& arm) { return arm["runs"].size() > 1; });
}

std::string main_table(const json& comparison) {
  const bool several = several_seeds(comparison);
  Rows rows = {{several ? "arm" : "run", "parameters", "non-embedding", "bytes", "nll before", "nll after",
                "bpb before", "bpb after", "tokens", "seconds"}};
  if (several) rows[0].insert(rows[0].begin() + 1, "runs");
  for (const json& arm : comparison["arms"]) {
    std::vector<std::string> row = {arm["name"].get<std::string>()};
    if (several) row.push_back(std::to_string(arm["runs"].size()));
    row.insert(row.end(), {whole(arm["parameters"]), whole(arm["non_embedding_parameters"]),
                           arm["bytes"].is_number() ? human_bytes(arm["bytes"].get<double>()) : "-",
                           loss(arm, "before", "nll", 4), loss(arm, "after", "nll", 4),
                           loss(arm, "before", "bits_per_byte", 3), loss(arm, "after", "bits_per_byte", 3),
                           arm["tokens"].is_number() ? human_count(arm["tokens"].get<double>()) : "-",
                           number(arm["seconds"], nullptr, 0)});
    rows.push_back(std::move(row));
  }
  return text_table(rows);
}

std::vector<std::string> keys_of(const json& arms, const std::vector<const char*>& places) {
  std::vector<std::string> keys;
  for (const json& arm : arms) {
    for (const char* place : places) {
      for (const auto& [key, value] : arm[place].items()) {
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
      }
    }
  }
  return keys;
}

// Bits per byte on each source, when there are several.
std::string source_table(const json& comparison) {
  const std::vector<std::string> names = keys_of(comparison["arms"], {"sources"});
  if (names.size() < 2) return "";
  Rows rows = {{"bits per byte, after", "mix"}};
  rows[0].insert(rows[0].end(), names.begin(), names.end());
  for (const json& arm : comparison["arms"]) {
    std::vector<std::string> row = {arm["name"].get<std::string>(), loss(arm, "after", "bits_per_byte", 3)};
    for (const std::string& name : names) {
      const json source = arm["sources"].value(name, json::object());
      row.push_back(number(source.value("mean", json()), source.value("sd", json()), 3));
    }
    rows.push_back(std::move(row));
  }
  return "\n" + text_table(rows);
}

// A column of accuracies for each choice task, a row for each model that was measured.
std::string task_table(const json& comparison) {
  const std::vector<std::string> names = keys_of(comparison["arms"], {"tasks_teacher", "tasks_before", "tasks"});
  if (names.empty()) return "";
  Rows rows = {{"accuracy"}};
  rows[0].insert(rows[0].end(), names.begin(), names.end());
  for (const json& arm : comparison["arms"]) {
    for (const auto& [when, place] :
         {std::pair(", teacher", "tasks_teacher"), std::pair(", before", "tasks_before"), std::pair("", "tasks")}) {
      if (arm[place].empty()) continue;
      std::vector<std::string> row = {arm["name"].get<std::string>() + when};
      for (const std::string& name : names) {
        const json task = arm[place].value(name, json::object());
        row.push_back(number(task.value("mean", json()), task.value("stderr", json()), 4));
      }
      rows.push_back(std::move(row));
    }
  }
  return "\n" + text_table(rows);
}

std::string shortened(const std::string& text, std::size_t longest) {
  if (text.size() <= longest) return text;
  std::size_t end = longest - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // not inside a character
  return text.substr(0, end) + "…";
}

std::string text_of(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// Where the recipes differ: a column for each arm that has a recipe; of keys with long values a line for each arm.
std::string difference_table(const json& comparison) {
  constexpr std::size_t kLongestCell = 24, kLongestLine = 120;
  const json& differences = comparison["differences"];
  if (!differences.is_array() || differences.empty()) return "";
  std::vector<std::string> arms;
  for (const json& arm : comparison["arms"]) {
    const std::string name = arm["name"].get<std::string>();
    if (differences[0]["values"].contains(name)) arms.push_back(name);
  }
  Rows cells = {{"what differs"}};
  cells[0].insert(cells[0].end(), arms.begin(), arms.end());
  std::string lines;
  for (const json& difference : differences) {
    const std::string key = difference["key"].get<std::string>();
    std::vector<std::string> row = {key};
    for (const std::string& arm : arms) row.push_back(text_of(difference["values"].value(arm, json("-"))));
    if (std::all_of(row.begin(), row.end(), [&](const std::string& cell) { return cell.size() <= kLongestCell; })) {
      cells.push_back(std::move(row));
      continue;
    }
    lines += "\n" + key + " differs\n";
    for (std::size_t i = 0; i < arms.size(); ++i)
      lines += fmt::format("  {:<15} {}\n", arms[i], shortened(row[i + 1], kLongestLine));
  }
  return (cells.size() > 1 ? "\n" + text_table(cells) : "") + lines;
}

std::string sentences(const json& comparison) {
  std::string text;
  for (const json& verdict : comparison["verdicts"]) text += verdict["text"].get<std::string>() + ".\n";
  for (const json& failed : comparison["failed"])
    text += fmt::format("{} failed: {}\n", failed["run"].get<std::string>(), failed["error"].get<std::string>());
  if (const std::string recovery = comparison.value("sentence", ""); !recovery.empty()) text += recovery + "\n";
  return text.empty() ? "" : "\n" + text;
}

}  // namespace

std::string comparison_text(const json& comparison) {
  return main_table(comparison) + source_table(comparison) + task_table(comparison) + difference_table(comparison) +
         sentences(comparison);
}

}  // namespace espalier
