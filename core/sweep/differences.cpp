// SPDX-License-Identifier: Apache-2.0
#include "core/sweep/differences.hpp"

#include <algorithm>

#include "core/base/strings.hpp"
#include "core/recipe/toml_source.hpp"

namespace espalier {
namespace {

constexpr const char* kOfRuns[] = {"name", "output", "seed"};

// Elements of a list pair up when each is the same thing in all arms: the same axis, component or file.
std::string identity(const TomlNode& element) {
  for (const char* key : {"axis", "name", "path"}) {
    if (const TomlEntry* entry = element.find(key)) return toml_text(entry->node);
  }
  return "";
}

class Comparison {
 public:
  explicit Comparison(std::vector<std::string> arms) : arms_(std::move(arms)) {}

  // `nodes`: the value of each arm at `key`, nullptr where it has none.
  void compare(const std::string& key, const std::vector<const TomlNode*>& nodes) {
    std::vector<std::string> texts;
    for (const TomlNode* node : nodes) texts.push_back(node ? toml_text(*node) : "");
    if (std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return text == texts.front(); })) return;
    if (all(nodes, [](const TomlNode& node) { return node.is_table(); })) return tables(key, nodes);
    if (pair_up(nodes)) {
      for (std::size_t i = 0; i < nodes.front()->list.size(); ++i) {
        std::vector<const TomlNode*> elements;
        for (const TomlNode* node : nodes) elements.push_back(&node->list[i]);
        compare(key + "." + std::to_string(i), elements);
      }
      return;
    }
    Difference difference{key, {}};
    for (std::size_t i = 0; i < arms_.size(); ++i) difference.values.emplace_back(arms_[i], texts[i]);
    found.push_back(std::move(difference));
  }

  std::vector<Difference> found;

 private:
  template <class Holds>
  static bool all(const std::vector<const TomlNode*>& nodes, Holds holds) {
    return std::all_of(nodes.begin(), nodes.end(), [&](const TomlNode* node) { return node && holds(*node); });
  }

  static bool pair_up(const std::vector<const TomlNode*>& nodes) {
    return all(nodes, [&](const TomlNode& node) {
      if (!node.is_list() || !nodes.front()->is_list() || node.list.size() != nodes.front()->list.size()) return false;
      for (std::size_t i = 0; i < node.list.size(); ++i) {
        if (!node.list[i].is_table() || identity(node.list[i]) != identity(nodes.front()->list[i])) return false;
      }
      return true;
    });
  }

  // The keys of all arms in the order of the first that has them.
  void tables(const std::string& key, const std::vector<const TomlNode*>& nodes) {
    std::vector<std::string> keys;
    for (const TomlNode* node : nodes) {
      for (const TomlEntry& entry : node->entries) {
        if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) keys.push_back(entry.key);
      }
    }
    for (const std::string& inner : keys) {
      const bool of_run = key.empty() && std::find(std::begin(kOfRuns), std::end(kOfRuns), inner) != std::end(kOfRuns);
      if (of_run) continue;
      std::vector<const TomlNode*> values;
      for (const TomlNode* node : nodes) {
        const TomlEntry* entry = node->find(inner);
        values.push_back(entry ? &entry->node : nullptr);
      }
      compare(key.empty() ? inner : key + "." + inner, values);
    }
  }

  std::vector<std::string> arms_;
};

}  // namespace

std::vector<Difference> differences(const std::vector<std::pair<std::string, std::string>>& arms) {
  std::vector<std::string> names;
  std::vector<TomlNode> trees;
  Diagnostics diagnostics;
  for (const auto& [name, text] : arms) {
    names.push_back(name);
    std::optional<TomlNode> tree = parse_toml(text, name, diagnostics);
    diagnostics.throw_if_any();
    trees.push_back(std::move(*tree));
  }
  std::vector<const TomlNode*> nodes;
  for (const TomlNode& tree : trees) nodes.push_back(&tree);
  Comparison comparison(std::move(names));
  if (!nodes.empty()) comparison.compare("", nodes);
  return std::move(comparison.found);
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
