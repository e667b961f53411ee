// SPDX-License-Identifier: Apache-2.0
// Pieces of HTML for report.html: escaping, numbers with sensible digits, tables that scroll inside their box.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace espalier {

inline constexpr const char* kNothing = "–";  // a number that does not exist

std::string escaped(std::string_view text);  // for text and for attributes in double quotes

// What lies at a path of keys; null when a key is absent or something on the way is no object.
const nlohmann::json& at_path(const nlohmann::json& object, std::initializer_list<const char*> path);
std::optional<double> number_at(const nlohmann::json& object, std::initializer_list<const char*> path);
std::string text_at(const nlohmann::json& object, std::initializer_list<const char*> path);  // "" when it is no text
const nlohmann::json& list_at(const nlohmann::json& object, const char* key);  // an empty list when it is none

// With a real minus sign; kNothing without a number.
std::string fixed_text(const std::optional<double>& number, int digits, const char* unit = "");
std::string signed_text(const std::optional<double>& number, int digits);
std::string whole_text(const std::optional<double>& number);  // 8,030,261,248
std::string size_text(const std::optional<double>& bytes);
std::string count_text(const std::optional<double>& count);
std::string time_text(const std::optional<double>& seconds);
std::string plain_text(
    const nlohmann::json& value);  // any JSON value as a reader wants it: text bare, null as kNothing

// A table in a box that scrolls. Cells are plain text; the first column heads the rows, `text` columns are not numbers.
class HtmlTable {
 public:
  HtmlTable(std::string caption, std::string first)
      : caption_(std::move(caption)), columns_{{std::move(first), true}} {}
  void column(std::string title, bool text = false) { columns_.push_back({std::move(title), text}); }
  void row(std::vector<std::string> cells, std::string css = "") {
    rows_.push_back({std::move(cells), std::move(css)});
  }
  bool empty() const { return rows_.empty(); }
  std::string html() const;  // columns in which no row has anything are left out; "" when that is all

 private:
  struct Column {
    std::string title;
    bool text = false;
  };
  struct Row {
    std::vector<std::string> cells;
    std::string css;
  };
  std::string caption_;
  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

}  // namespace espalier
