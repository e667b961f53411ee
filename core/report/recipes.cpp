// SPDX-License-Identifier: Apache-2.0
#include "core/report/recipes.hpp"

#include <algorithm>
#include <set>

#include "core/base/error.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier {
namespace {

using nlohmann::json;

std::string text_of(const TomlNode& node) {
  std::string text;
  switch (node.type) {
    case TomlNode::Type::scalar:
      return to_text(node.scalar);
    case TomlNode::Type::date:
      return node.text;
    case TomlNode::Type::list:
      for (const TomlNode& element : node.list) text += (text.empty() ? "" : ", ") + text_of(element);
      return "[" + text + "]";
    case TomlNode::Type::table:
      for (const TomlEntry& entry : node.entries)
        text += (text.empty() ? "" : ", ") + entry.key + " = " + text_of(entry.node);
      return text.empty() ? "{}" : "{ " + text + " }";
  }
  return text;
}

std::string string_at(const TomlNode& table, std::string_view key) {
  const TomlEntry* entry = table.is_table() ? table.find(key) : nullptr;
  const std::string* text = entry == nullptr ? nullptr : std::get_if<std::string>(&entry->node.scalar.data);
  return text == nullptr ? "" : *text;
}

// Scores and what is cut and trained with a seed have digests that follow from it.
void keep_given_digests(TomlNode& tree) {
  TomlEntry* lock = tree.find("lock");
  if (lock == nullptr) return;
  for (const char* follows : {"score", "search", "slice", "export"}) lock->node.erase(follows);
}

using Nodes = std::vector<const TomlNode*>;  // of each arm; nullptr: has nothing there

bool all_of_kind(const Nodes& nodes, bool (TomlNode::*is)() const) {
  return std::all_of(nodes.begin(), nodes.end(),
                     [&](const TomlNode* node) { return node != nullptr && (node->*is)(); });
}

class Differences {
 public:
  explicit Differences(std::vector<std::string> arms) : arms_(std::move(arms)) {}

  void compare(const Nodes& nodes, const std::string& place) {
    if (all_of_kind(nodes, &TomlNode::is_table) && same_component(nodes)) return compare_tables(nodes, place);
    if (all_of_kind(nodes, &TomlNode::is_list) && same_size(nodes)) {
      for (std::size_t i = 0; i < nodes[0]->list.size(); ++i) {
        Nodes inner;
        for (const TomlNode* node : nodes) inner.push_back(&node->list[i]);
        compare(inner, place + "." + std::to_string(i));
      }
      return;
    }
    report(nodes, place);
  }

  json result = json::array();

 private:
  static bool same_component(const Nodes& nodes) {
    return std::all_of(nodes.begin(), nodes.end(), [&](const TomlNode* node) {
      return string_at(*node, "name") == string_at(*nodes[0], "name") &&
             string_at(*node, "axis") == string_at(*nodes[0], "axis");
    });
  }
  static bool same_size(const Nodes& nodes) {
    return std::all_of(nodes.begin(), nodes.end(),
                       [&](const TomlNode* node) { return node->list.size() == nodes[0]->list.size(); });
  }

  void compare_tables(const Nodes& nodes, const std::string& place) {
    std::set<std::string> keys;
    for (const TomlNode* node : nodes) {
      for (const TomlEntry& entry : node->entries) keys.insert(entry.key);
    }
    for (const std::string& key : keys) {
      Nodes inner;
      for (const TomlNode* node : nodes) {
        const TomlEntry* entry = node->find(key);
        inner.push_back(entry == nullptr ? nullptr : &entry->node);
      }
      compare(inner, place.empty() ? key : place + "." + key);
    }
  }

  void report(const Nodes& nodes, const std::string& place) {
    std::vector<std::string> texts;
    for (const TomlNode* node : nodes) texts.push_back(node == nullptr ? "-" : text_of(*node));
    if (std::all_of(texts.begin(), texts.end(), [&](const std::string& text) { return text == texts[0]; })) return;
    json values = json::object();
    for (std::size_t i = 0; i < arms_.size(); ++i) values[arms_[i]] = texts[i];
    result.push_back({{"key", place}, {"values", std::move(values)}});
  }

  std::vector<std::string> arms_;
};

}  // namespace

std::string RunRecipe::text() const { return text_of(tree); }

std::optional<RunRecipe> read_run_recipe(const fs::path& run) {
  const fs::path path = run / "recipe.lock.toml";
  if (!fs::exists(path)) return std::nullopt;
  Diagnostics problems;
  std::optional<TomlNode> tree = parse_toml(read_text(path), path.string(), problems);
  if (!tree) fail("{}: cannot be read as TOML; expected what espalier run wrote", path.string());
  RunRecipe recipe;
  if (const TomlEntry* seed = tree->find("seed"); seed != nullptr) {
    if (const auto* number = std::get_if<std::int64_t>(&seed->node.scalar.data)) recipe.seed = *number;
  }
  if (const TomlEntry* teacher = tree->find("teacher"); teacher != nullptr) {
    const fs::path folder = string_at(teacher->node, "path");
    recipe.teacher = folder.has_filename() ? folder : folder.parent_path();
  }
  for (const char* key : {"seed", "name", "output"}) tree->erase(key);
  keep_given_digests(*tree);
  recipe.tree = std::move(*tree);
  return recipe;
}

json recipe_differences(const std::vector<std::pair<std::string, const RunRecipe*>>& arms) {
  if (arms.size() < 2) return json::array();
  std::vector<std::string> names;
  std::vector<TomlNode> trees;
  for (const auto& [name, recipe] : arms) {
    names.push_back(name);
    trees.push_back(recipe->tree);
    trees.back().erase("lock");  // what differs there follows from what differs above, or is a file of the same name
  }
  Nodes nodes;
  for (const TomlNode& tree : trees) nodes.push_back(&tree);
  Differences differences(names);
  differences.compare(nodes, "");
  return std::move(differences.result);
}

}  // namespace espalier
