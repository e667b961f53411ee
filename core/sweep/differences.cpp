// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/differences.hpp"

#include "core/base/strings.hpp"
#include "core/recipe/differences.hpp"

namespace espalier {

std::vector<Difference> differences(const std::vector<std::pair<std::string, std::string>>& arms) {
  std::vector<TomlNode> trees;
  Diagnostics diagnostics;
  for (const auto& [name, text] : arms) {
    std::optional<TomlNode> tree = parse_toml(text, name, diagnostics);
    diagnostics.throw_if_any();
    for (const char* of_run : {"name", "output", "seed"}) tree->erase(of_run);
    trees.push_back(std::move(*tree));
  }
  std::vector<const TomlNode*> nodes;
  for (const TomlNode& tree : trees) nodes.push_back(&tree);
  std::vector<Difference> found;
  for (const TomlDifference& difference : toml_differences(nodes)) {
    Difference shown{difference.key, {}};
    for (std::size_t i = 0; i < arms.size(); ++i) {
      const TomlNode* value = difference.values[i];
      shown.values.emplace_back(arms[i].first, value ? toml_text(*value) : "");
    }
    found.push_back(std::move(shown));
  }
  return found;
}

std::string differences_text(const std::vector<Difference>& differences) {
  constexpr std::size_t kLongest = 90;
  std::string text;
  for (const Difference& difference : differences) {
    text += difference.key + "\n";
    for (const auto& [arm, value] : difference.values) {
      std::string shown = value.empty() ? "none" : value;
      if (shown.size() > kLongest) {
        std::size_t cut = kLongest;
        while (cut > 0 && (static_cast<unsigned char>(shown[cut]) & 0xC0U) == 0x80U) --cut;  // whole code points
        shown = shown.substr(0, cut) + " …";
      }
      text += fmt::format("  {:<15} {}\n", arm, shown);
    }
  }
  return text;
}

}  // namespace espalier
