// SPDX-License-Identifier: Apache-2.0
#include "core/report/page_html.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

namespace {

using nlohmann::json;

std::string with_minus(std::string text) { return !text.empty() && text[0] == '-' ? "−" + text.substr(1) : text; }

std::string cell_html(const std::string& text, bool head, bool is_text) {
  const char* name = head ? "th" : "td";
  return fmt::format("<{}{}{}>{}</{}>", name, head ? " scope=\"row\"" : "", is_text ? "" : " class=\"n\"",
                     escaped(text), name);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

const json& at_path(const json& object, std::initializer_list<const char*> path) {
  static const json nothing;
  const json* here = &object;
  for (const char* key : path) {
    if (!here->is_object() || !here->contains(key)) return nothing;
    here = &here->at(key);
  }
  return *here;
}

std::optional<double> number_at(const json& object, std::initializer_list<const char*> path) {
  const json& value = at_path(object, path);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::string text_at(const json& object, std::initializer_list<const char*> path) {
  const json& value = at_path(object, path);
  return value.is_string() ? value.get<std::string>() : "";
}

const json& list_at(const json& object, const char* key) {
  static const json empty = json::array();
  const json& value = at_path(object, {key});
  return value.is_array() ? value : empty;
}

std::string fixed_text(const std::optional<double>& number, int digits, const char* unit) {
  return number ? with_minus(fmt::format("{:.{}f}", *number, digits)) + unit : kNothing;
}

std::string signed_text(const std::optional<double>& number, int digits) {
  return number ? with_minus(fmt::format("{:+.{}f}", *number, digits)) : kNothing;
}

std::string whole_text(const std::optional<double>& number) {
  return number ? with_commas(static_cast<std::int64_t>(std::llround(*number))) : kNothing;
}

std::string size_text(const std::optional<double>& bytes) { return bytes ? human_bytes(*bytes) : kNothing; }
std::string count_text(const std::optional<double>& count) { return count ? human_count(*count) : kNothing; }
std::string time_text(const std::optional<double>& seconds) { return seconds ? human_time(*seconds) : kNothing; }

std::string plain_text(const json& value) {
  if (value.is_null()) return kNothing;
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const json& entry : value) parts.push_back(plain_text(entry));
    return parts.empty() ? kNothing : join(parts, ", ");
  }
  if (value.is_object()) {
    std::vector<std::string> parts;
    for (const auto& [key, entry] : value.items()) parts.push_back(key + " " + plain_text(entry));
    return parts.empty() ? kNothing : join(parts, ", ");
  }
  return value.dump();
}

std::string HtmlTable::html() const {
  std::vector<bool> shown(columns_.size(), false);
  for (const Row& row : rows_) {
    for (std::size_t i = 0; i < row.cells.size(); ++i)
      shown[i] = shown[i] || (row.cells[i] != kNothing && row.cells[i] != "");
  }
  if (std::find(shown.begin() + 1, shown.end(), true) == shown.end()) return "";
  shown[0] = true;
  std::string html = fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
      "aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
      escaped(caption_));
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (shown[i])
      html += fmt::format("<th scope=\"col\"{}>{}</th>", columns_[i].text ? "" : " class=\"n\"",
                          escaped(columns_[i].title));
  }
  html += "</tr></thead><tbody>\n";
  for (const Row& row : rows_) {
    html += row.css.empty() ? "<tr>" : fmt::format("<tr class=\"{}\">", row.css);
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      if (shown[i]) html += cell_html(row.cells[i], i == 0, columns_[i].text);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace espalier
