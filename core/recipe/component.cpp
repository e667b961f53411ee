// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/component.hpp"

namespace espalier {

const Value* ComponentBlock::find(std::string_view key) const {
  const auto option = options.find(key);
  return option == options.end() ? nullptr : &option->second.value;
}

void ComponentBlock::problem(std::string_view key, const std::string& what, const std::string& got,
                             const std::string& expected) {
  const auto option = options.find(key);
  const Where& place = option == options.end() ? where : option->second.where;
  const std::string of = fmt::format("of {} '{}'", kind, name);
  std::string text = fmt::format("{} {}", of.substr(3), what);
  if (!key.empty()) {
    const bool starts = what.starts_with(key) && what.size() > key.size() && what[key.size()] == ' ';
    text = fmt::format("{} {} {}", key, of, starts ? what.substr(key.size() + 1) : what);
  }
  if (!diagnostics) throw RecipeError(to_string(place) + ": " + problem_text(table, text, got, expected));
  diagnostics->error(place, table, text, got, expected);
}

}  // namespace espalier
