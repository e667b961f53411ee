// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/base/error.hpp"

namespace espalier {

// A place in a file, 1-based; columns count code points. line 0: no place (`file` is then a --set or names a default).
struct Where {
  std::string file;
  int line = 0;
  int column = 0;
  bool operator==(const Where&) const = default;
};

std::string to_string(const Where& where);  // file:line:col, or the file alone

// [table] what; got X; expected Y     (empty parts are left out)
std::string problem_text(const std::string& table, const std::string& what, const std::string& got,
                         const std::string& expected);

// a, b or c
std::string plain_any_of(const std::vector<std::string>& choices);

// Collects every problem of a recipe, so that all are told at once, sorted by place.
class Diagnostics {
 public:
  // file:line:col: error: [table] what; got X; expected Y     (table, got and expected may be empty)
  void error(const Where& where, const std::string& table, const std::string& what, const std::string& got,
             const std::string& expected);
  void note(const std::string& text);  // printed after the errors, each text once
  bool empty() const { return problems_.empty(); }
  std::size_t size() const { return problems_.size(); }
  std::string text() const;   // errors, notes, then the number of errors
  void throw_if_any() const;  // RecipeError with text()

 private:
  struct Problem {
    Where where;
    std::string text;
  };
  std::vector<Problem> problems_;
  std::vector<std::string> notes_;
};

}  // namespace espalier
