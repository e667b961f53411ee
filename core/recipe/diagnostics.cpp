// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/diagnostics.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace espalier {

std::string to_string(const Where& where) {
  if (where.line == 0) return where.file;
  return fmt::format("{}:{}:{}", where.file, where.line, where.column);
}

std::string problem_text(const std::string& table, const std::string& what, const std::string& got,
                         const std::string& expected) {
  std::string text = table.empty() ? what : fmt::format("[{}] {}", table, what);
  if (!got.empty()) text += "; got " + got;
  if (!expected.empty()) text += "; expected " + expected;
  return text;
}

std::string plain_any_of(const std::vector<std::string>& choices) {
  std::string text;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ") + choices[i];
  }
  return text;
}

void Diagnostics::error(const Where& where, const std::string& table, const std::string& what, const std::string& got,
                        const std::string& expected) {
  problems_.push_back({where, to_string(where) + ": error: " + problem_text(table, what, got, expected)});
}

void Diagnostics::note(const std::string& text) {
  if (std::find(notes_.begin(), notes_.end(), text) == notes_.end()) notes_.push_back(text);
}

std::string Diagnostics::text() const {
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& left, const Problem& right) {
    return std::tie(left.where.file, left.where.line, left.where.column) <
           std::tie(right.where.file, right.where.line, right.where.column);
  });
  std::string text;
  std::set<std::string> told;  // arms of a sweep share most of a recipe: what is wrong there is one problem
  for (const Problem& problem : sorted) {
    if (told.insert(problem.text).second) text += problem.text + "\n";
  }
  for (const std::string& line : notes_) text += "note: " + line + "\n";
  return text + fmt::format("{} error{}", told.size(), told.size() == 1 ? "" : "s");
}

void Diagnostics::throw_if_any() const {
  if (!empty()) throw RecipeError(text());
}

}  // namespace espalier
