// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/document.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/base/strings.hpp"

namespace espalier {
namespace {

// Components that a recipe gets when it names none. The only place of the core that knows a component's name.
struct DefaultComponent {
  const char* table;
  const char* key;
  const char* toml;
  const char* with_weights = nullptr;  // instead, when [teacher] does not start from a spec
};
constexpr DefaultComponent kDefaultComponents[] = {
    {"correct", "losses", R"([{ name = "cross_entropy" }])"},
    // A correction takes a fifth of the rate and 120 steps to get there (Minitron, arXiv 2408.11796, section 2).
    {"correct", "scheduler", R"({ name = "cosine", peak = 1e-4, min = 1e-5 })",
     R"({ name = "cosine", peak = 2e-5, min = 2e-6, warmup_steps = 120 })"},
    {"distill", "losses", R"([{ name = "kl" }])"},
    {"distill", "scheduler", R"({ name = "cosine", peak = 1e-4, min = 1e-5 })"},
};

struct Exclusive {
  const char* table;
  const char* one;
  const char* other;
};
constexpr Exclusive kExclusive[] = {
    {"teacher", "path", "spec"},    {"data", "valid", "valid_fraction"}, {"correct", "tokens", "steps"},
    {"distill", "tokens", "steps"}, {"prune", "keep", "ratio"},
};

// The key that must go when `key` is set, or "".
std::string rival(const std::string& table, const std::string& key) {
  for (const Exclusive& pair : kExclusive) {
    if (table != pair.table) continue;
    if (key == pair.one) return pair.other;
    if (key == pair.other) return pair.one;
  }
  return "";
}

}  // namespace

void merge_document(TomlNode& base, const TomlNode& over) {
  for (const TomlEntry& entry : over.entries) {
    TomlEntry* below = base.find(entry.key);
    if (!below || !below->node.is_table() || !entry.node.is_table()) {
      base.set(entry.key, entry.node).where = entry.where;
      continue;
    }
    for (const TomlEntry& inner : entry.node.entries) {
      const std::string other = rival(entry.key, inner.key);
      if (!other.empty() && !entry.node.find(other)) below->node.erase(other);
      below->node.set(inner.key, inner.node).where = inner.where;
    }
    below->where = entry.where;
    below->node.where = entry.node.where;
  }
}

void add_default_components(TomlNode& root) {
  const TomlEntry* teacher = root.find("teacher");
  const bool weights = teacher && teacher->node.is_table() && !teacher->node.find("spec");
  for (const DefaultComponent& missing : kDefaultComponents) {
    TomlEntry* table = root.find(missing.table);
    if (!table || !table->node.is_table() || table->node.find(missing.key)) continue;
    const Where where{fmt::format("default of {}.{}", missing.table, missing.key), 0, 0};
    table->node.set(missing.key,
                    parse_toml_value(weights && missing.with_weights ? missing.with_weights : missing.toml, where));
  }
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.') {
      parts.emplace_back();
    } else if (c != ' ') {
      parts.back() += c;
    }
  }
  return parts;
}

namespace {

std::vector<Override> parse_overrides(const std::vector<std::string>& texts, Diagnostics& diagnostics) {
  std::vector<Override> overrides;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    Override item{{"--set " + text, 0, 0}, split_path(text.substr(0, equals)), {}};
    bool whole = equals != std::string::npos;
    for (const std::string& part : item.path) whole = whole && !part.empty();
    if (!whole) {
      diagnostics.error(item.place, "", "is not an override", "'" + text + "'", "key.sub=value");
      continue;
    }
    if (item.path.front() == "extends") {
      diagnostics.error(item.place, "", "extends is read before any --set", "", "extends in the recipe itself");
      continue;
    }
    std::string value = text.substr(equals + 1);
    value.erase(0, value.find_first_not_of(' '));
    item.value = parse_toml_value(value, item.place);
    overrides.push_back(std::move(item));
  }
  return overrides;
}

// The element of a list that `word` counts, or nullptr with a problem.
TomlNode* element(TomlNode& list, const std::string& word, const std::string& table, const Where& place,
                  Diagnostics& diagnostics) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
  if (error == std::errc() && end == word.data() + word.size() && index < list.list.size()) return &list.list[index];
  const std::string expected = list.list.empty()       ? "no index: the list is empty"
                               : list.list.size() == 1 ? "0: the list has one element"
                                                       : fmt::format("0 to {}", list.list.size() - 1);
  diagnostics.error(place, table, "no such list element", "'" + word + "'", expected);
  return nullptr;
}

// An override wins over the rival key of the file, but not over another override: those two stay, and are refused
// later.
void drop_rival(TomlNode& table, const std::string& name, const std::string& key, const std::vector<Override>& items) {
  const std::string other = rival(name, key);
  const TomlEntry* entry = other.empty() ? nullptr : table.find(other);
  if (!entry) return;
  const Where& place = entry->where;
  if (std::none_of(items.begin(), items.end(), [&](const Override& item) { return item.value.where == place; }))
    table.erase(other);
}

void apply(TomlNode& root, const Override& item, const std::vector<Override>& items, Diagnostics& diagnostics) {
  const std::string& table = item.path.front();
  TomlNode* node = &root;
  for (std::size_t i = 0; i < item.path.size(); ++i) {
    const std::string& word = item.path[i];
    const bool last = i + 1 == item.path.size();
    if (node->is_list()) {
      node = element(*node, word, table, item.place, diagnostics);
      if (!node) return;
      if (last) *node = item.value;
    } else if (!node->is_table()) {
      const std::string path = join({item.path.begin(), item.path.begin() + static_cast<std::ptrdiff_t>(i)}, ".");
      diagnostics.error(item.place, table, path + " has no keys", describe(*node), "a table");
      return;
    } else if (last) {
      if (i > 0) drop_rival(*node, table, word, items);
      node->set(word, item.value);
    } else if (TomlEntry* entry = node->find(word)) {
      node = &entry->node;
    } else {
      TomlNode created;
      created.where = item.place;
      node = &node->set(word, created).node;
    }
  }
}

TomlNode with_base(TomlNode child, const fs::path& file, Diagnostics& diagnostics) {
  const TomlEntry* extends = child.find("extends");
  const std::string* name = extends ? std::get_if<std::string>(&extends->node.scalar.data) : nullptr;
  if (!name || extends->node.type != TomlNode::Type::scalar) return child;  // a wrong type is told by the reader
  const fs::path path = file.parent_path() / *name;
  std::string text;
  try {
    text = read_text(path);
  } catch (const Error& error) {
    diagnostics.error(extends->node.where, "", "extends names a file that cannot be read: " + std::string(error.what()),
                      "", "");
    return child;
  }
  std::optional<TomlNode> base = parse_toml(text, path.string(), diagnostics);
  if (!base) return child;
  if (const TomlEntry* deeper = base->find("extends")) {
    diagnostics.error(deeper->where, "", "a base recipe extends another one", describe(deeper->node),
                      fmt::format("no extends here: {} extends this file, and one level is all", file.string()));
    return child;
  }
  base->erase("name");  // the name of a run comes from its own file
  base->erase("output");
  merge_document(*base, child);
  base->where = child.where;
  return std::move(*base);
}

}  // namespace

void apply_overrides(TomlNode& root, const std::vector<Override>& items, Diagnostics& diagnostics) {
  for (const Override& item : items) apply(root, item, items, diagnostics);
}

Document load_document(const fs::path& file, const std::vector<std::string>& overrides, Diagnostics& diagnostics) {
  Document document;
  document.text = read_text(file);
  const std::size_t before = diagnostics.size();
  std::optional<TomlNode> root = parse_toml(document.text, file.string(), diagnostics);
  if (root) document.root = with_base(std::move(*root), file, diagnostics);
  document.readable = diagnostics.size() == before;
  const std::vector<Override> items = parse_overrides(overrides, diagnostics);
  for (const Override& item : items) {  // tables first, so that a --set can reach into their default components
    if (item.path.size() < 2 || document.root.find(item.path.front())) continue;
    TomlNode created;
    created.where = item.place;
    document.root.set(item.path.front(), created);
  }
  add_default_components(document.root);
  apply_overrides(document.root, items, diagnostics);
  add_default_components(document.root);
  document.root.where = {file.string(), 0, 0};
  return document;
}

}  // namespace espalier
