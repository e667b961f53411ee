// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/toml_source.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace espalier {
namespace {

Where place(const toml::source_region& region, const std::string& file) {
  return {file, static_cast<int>(region.begin.line), static_cast<int>(region.begin.column)};
}

TomlNode convert(const toml::node& source, const std::string& file) {
  TomlNode node;
  node.where = place(source.source(), file);
  if (const toml::table* table = source.as_table()) {
    for (const auto& [key, value] : *table) {
      node.entries.push_back({std::string(key.str()), place(key.source(), file), convert(value, file)});
    }
    // toml++ sorts by key; we keep the order of the file.
    std::stable_sort(node.entries.begin(), node.entries.end(), [](const TomlEntry& left, const TomlEntry& right) {
      return std::pair(left.where.line, left.where.column) < std::pair(right.where.line, right.where.column);
    });
    return node;
  }
  if (const toml::array* list = source.as_array()) {
    node.type = TomlNode::Type::list;
    for (const toml::node& element : *list) node.list.push_back(convert(element, file));
    return node;
  }
  node.type = TomlNode::Type::scalar;
  if (const auto* flag = source.as_boolean()) {
    node.scalar.data = flag->get();
  } else if (const auto* whole = source.as_integer()) {
    node.scalar.data = whole->get();
  } else if (const auto* real = source.as_floating_point()) {
    node.scalar.data = real->get();
  } else if (const auto* text = source.as_string()) {
    node.scalar.data = text->get();
  } else {
    node.type = TomlNode::Type::date;
    std::ostringstream out;
    source.visit([&](const auto& value) {
      if constexpr (toml::is_chronological<decltype(value)>) out << value.get();
    });
    node.text = out.str();
  }
  return node;
}

void move_to(TomlNode& node, const Where& where) {
  node.where = where;
  for (TomlEntry& entry : node.entries) {
    entry.where = where;
    move_to(entry.node, where);
  }
  for (TomlNode& element : node.list) move_to(element, where);
}

}  // namespace

const TomlEntry* TomlNode::find(std::string_view key) const {
  for (const TomlEntry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

TomlEntry* TomlNode::find(std::string_view key) { return const_cast<TomlEntry*>(std::as_const(*this).find(key)); }

void TomlNode::erase(std::string_view key) {
  std::erase_if(entries, [&](const TomlEntry& entry) { return entry.key == key; });
}

TomlEntry& TomlNode::set(const std::string& key, TomlNode value) {
  TomlEntry* entry = find(key);
  if (!entry) entry = &entries.emplace_back(TomlEntry{key, {}, {}});
  entry->where = value.where;
  entry->node = std::move(value);
  return *entry;
}

std::optional<TomlNode> parse_toml(std::string_view text, const std::string& file, Diagnostics& diagnostics) {
  try {
    return convert(toml::parse(text), file);
  } catch (const toml::parse_error& error) {
    diagnostics.error(place(error.source(), file), "", "is not TOML: " + std::string(error.description()), "", "");
    return std::nullopt;
  }
}

TomlNode parse_toml_value(const std::string& text, const Where& where) {
  TomlNode node;
  try {
    const toml::table table = toml::parse("value = " + text);
    // More than one key: the text holds a line break, so it is not one value.
    if (table.size() == 1) {
      node = convert(*table.get("value"), "");
      move_to(node, where);
      return node;
    }
  } catch (const toml::parse_error&) {
    // Not TOML: a bare string, so that a shell needs no second pair of quotes.
  }
  node.type = TomlNode::Type::scalar;
  node.where = where;
  node.scalar.data = text;
  return node;
}

std::string toml_key(const std::string& key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? key : to_text(Value{key});
}

std::string toml_text(const TomlNode& node) {
  if (node.type == TomlNode::Type::date) return node.text;
  if (node.type == TomlNode::Type::scalar) return to_text(node.scalar);
  std::string text;
  for (const TomlEntry& entry : node.entries)
    text += (text.empty() ? " " : ", ") + toml_key(entry.key) + " = " + toml_text(entry.node);
  if (node.is_table()) return text.empty() ? "{}" : "{" + text + " }";
  for (const TomlNode& element : node.list) text += (text.empty() ? "" : ", ") + toml_text(element);
  return "[" + text + "]";
}

std::optional<Value> to_value(const TomlNode& node) {
  if (node.type == TomlNode::Type::scalar) return node.scalar;
  if (node.type != TomlNode::Type::list) return std::nullopt;
  ValueList list;
  for (const TomlNode& element : node.list) {
    std::optional<Value> value = to_value(element);
    if (!value) return std::nullopt;
    list.push_back(std::move(*value));
  }
  return Value{std::move(list)};
}

std::string describe(const TomlNode& node) {
  if (node.type == TomlNode::Type::date) return node.text;
  const std::optional<Value> value = to_value(node);
  if (value) return to_text(*value);
  return node.is_table() ? "a table" : "a list of tables";
}

}  // namespace espalier
