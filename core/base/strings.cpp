// SPDX-License-Identifier: Apache-2.0
#include "core/base/strings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "core/base/error.hpp"

namespace espalier {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string scaled(double number, const std::array<const char*, 5>& units, const char* separator) {
  std::size_t unit = 0;
  while (std::abs(number) >= 999.5 && unit + 1 < units.size()) {
    number /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}{}", number,
                     unit == 0                ? 0
                     : std::abs(number) < 10  ? 2
                     : std::abs(number) < 100 ? 1
                                              : 0,
                     separator, units[unit]);
}

// Matches without braces.
bool match(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return path.empty();
  if (pattern.starts_with("**/")) {
    if (match(pattern.substr(3), path)) return true;
    const std::size_t slash = path.find('/');
    return slash != std::string_view::npos && match(pattern, path.substr(slash + 1));
  }
  if (pattern == "**") return true;
  if (pattern[0] == '*') {
    for (std::size_t taken = 0;; ++taken) {
      if (match(pattern.substr(1), path.substr(taken))) return true;
      if (taken == path.size() || path[taken] == '/') return false;
    }
  }
  if (path.empty()) return false;
  const bool same = pattern[0] == '?' ? path[0] != '/' : pattern[0] == path[0];
  return same && match(pattern.substr(1), path.substr(1));
}

}  // namespace

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::vector<std::string> parts_of_variable(const char* name) {
  std::vector<std::string> parts;
  const char* variable = std::getenv(name);
  std::istringstream text(variable == nullptr ? "" : variable);
  for (std::string part; std::getline(text, part, ':');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string any_of(const std::vector<std::string>& choices) {
  std::string text;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ") + ("'" + choices[i] + "'");
  }
  return text;
}

std::string nearest(std::string_view word, const std::vector<std::string>& choices) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;  // a third of the letters may be wrong
  for (const std::string& choice : choices) {
    const std::size_t distance = edit_distance(word, choice);
    if (distance < best_distance) {
      best = choice;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& choices) {
  const std::string best = nearest(word, choices);
  return best.empty() ? "" : "; did you mean '" + best + "'?";
}

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::ptrdiff_t first = number < 0 ? 1 : 0;
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string human_bytes(double bytes) { return scaled(bytes, {"B", "kB", "MB", "GB", "TB"}, " "); }

std::string human_count(double count) {
  const std::string text = scaled(count, {"", "k", "M", "B", "T"}, " ");
  return text.ends_with(' ') ? text.substr(0, text.size() - 1) : text;
}

std::string human_time(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);  // never "60.0 s"
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::int64_t parse_bytes(std::string_view text) {
  struct Unit {
    const char* name;
    double bytes;
  };
  static constexpr std::array<Unit, 9> units = {{{"", 1},
                                                 {"B", 1},
                                                 {"kB", 1e3},
                                                 {"KB", 1e3},
                                                 {"MB", 1e6},
                                                 {"GB", 1e9},
                                                 {"KiB", 1024.0},
                                                 {"MiB", 1048576.0},
                                                 {"GiB", 1073741824.0}}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  for (const Unit& unit : units) {
    const double bytes = number * unit.bytes;
    if (error == std::errc() && rest == unit.name && bytes >= 1 && bytes < 9e18)
      return static_cast<std::int64_t>(bytes);
  }
  fail("not a size; got '{}'; expected a number with B, kB, MB, GB, KiB, MiB or GiB, such as \"5GB\"", text);
}

bool glob_match(std::string_view pattern, std::string_view path) {
  const std::size_t open = pattern.find('{');
  const std::size_t close = open == std::string_view::npos ? open : pattern.find('}', open);
  if (close == std::string_view::npos) return match(pattern, path);
  std::size_t from = open + 1;
  while (from <= close) {
    const std::size_t to = std::min(pattern.find(',', from), close);
    std::string one(pattern.substr(0, open));
    one += pattern.substr(from, to - from);
    one += pattern.substr(close + 1);
    if (glob_match(one, path)) return true;
    from = to + 1;
  }
  return false;
}

}  // namespace espalier
