// SPDX-License-Identifier: Apache-2.0
#include "core/report/recipes.hpp"

#include "core/base/error.hpp"
#include "core/recipe/differences.hpp"
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
  std::vector<const TomlNode*> nodes;
  for (const TomlNode& tree : trees) nodes.push_back(&tree);
  json result = json::array();
  for (const TomlDifference& difference : toml_differences(nodes)) {
    json values = json::object();
    for (std::size_t i = 0; i < names.size(); ++i) {
      values[names[i]] = difference.values[i] ? text_of(*difference.values[i]) : "-";
    }
    result.push_back({{"key", difference.key}, {"values", std::move(values)}});
  }
  return result;
}

}  // namespace espalier
