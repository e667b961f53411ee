// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/differences.hpp"

#include <algorithm>
#include <initializer_list>

namespace espalier {
namespace {

using Nodes = std::vector<const TomlNode*>;

// What makes a table this thing and no other.
std::string identity(const TomlNode& table, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (const TomlEntry* entry = table.find(key)) return key + (" " + toml_text(entry->node));
  }
  return "";
}

bool same_things(const Nodes& nodes, std::initializer_list<const char*> keys) {
  return std::all_of(nodes.begin(), nodes.end(), [&](const TomlNode* node) {
    return node != nullptr && node->is_table() && nodes.front()->is_table() &&
           identity(*node, keys) == identity(*nodes.front(), keys);
  });
}

bool same_lists(const Nodes& nodes) {
  const auto length = [](const TomlNode* node) { return node != nullptr && node->is_list() ? node->list.size() : 0; };
  return length(nodes.front()) > 0 && std::all_of(nodes.begin(), nodes.end(), [&](const TomlNode* node) {
           return length(node) == length(nodes.front());
         });
}

Nodes elements(const Nodes& lists, std::size_t i) {
  Nodes nodes;
  for (const TomlNode* list : lists) nodes.push_back(&list->list[i]);
  return nodes;
}

Nodes entries(const Nodes& tables, const std::string& key) {
  Nodes nodes;
  for (const TomlNode* table : tables) {
    const TomlEntry* entry = table->find(key);
    nodes.push_back(entry ? &entry->node : nullptr);
  }
  return nodes;
}

std::vector<std::string> keys_of(const Nodes& tables) {
  std::vector<std::string> keys;
  for (const TomlNode* table : tables) {
    for (const TomlEntry& entry : table->entries) {
      if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) keys.push_back(entry.key);
    }
  }
  return keys;
}

bool pair_up(const Nodes& lists) {
  if (!same_lists(lists)) return false;
  for (std::size_t i = 0; i < lists.front()->list.size(); ++i) {
    if (!same_things(elements(lists, i), {"axis", "name", "path"})) return false;
  }
  return true;
}

bool equal(const Nodes& nodes) {
  const auto text = [](const TomlNode* node) { return node ? toml_text(*node) : ""; };
  const std::string first = text(nodes.front());
  return std::all_of(nodes.begin(), nodes.end(), [&](const TomlNode* node) { return text(node) == first; });
}

void compare(const std::string& key, const Nodes& nodes, std::vector<TomlDifference>& found) {
  const auto below = [&](const std::string& inner) { return key.empty() ? inner : key + "." + inner; };
  if (equal(nodes)) return;
  if (same_things(nodes, {"axis", "name"})) {
    for (const std::string& inner : keys_of(nodes)) compare(below(inner), entries(nodes, inner), found);
  } else if (pair_up(nodes)) {
    for (std::size_t i = 0; i < nodes.front()->list.size(); ++i) {
      compare(below(std::to_string(i)), elements(nodes, i), found);
    }
  } else {
    found.push_back({key, nodes});
  }
}

}  // namespace

std::vector<TomlDifference> toml_differences(const std::vector<const TomlNode*>& trees) {
  std::vector<TomlDifference> found;
  if (!trees.empty()) compare("", trees, found);
  return found;
}

}  // namespace espalier
