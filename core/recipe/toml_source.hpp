// SPDX-License-Identifier: Apache-2.0
// TOML as our own tree with places. toml++ is seen by toml_source.cpp only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/recipe/diagnostics.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier {

struct TomlEntry;

struct TomlNode {
  enum class Type { table, list, scalar, date };
  Type type = Type::table;
  Where where;                     // of the value
  std::vector<TomlEntry> entries;  // table: in the order of the file
  std::vector<TomlNode> list;
  Value scalar;      // bool, integer, real or string
  std::string text;  // date or time, as written

  bool is_table() const { return type == Type::table; }
  bool is_list() const { return type == Type::list; }
  const TomlEntry* find(std::string_view key) const;
  TomlEntry* find(std::string_view key);
  void erase(std::string_view key);
  TomlEntry& set(const std::string& key, TomlNode value);  // replaces, or appends
};

struct TomlEntry {
  std::string key;
  Where where;  // of the key
  TomlNode node;
};

// The tree, or nothing after a syntax error, which goes to `diagnostics`.
std::optional<TomlNode> parse_toml(std::string_view text, const std::string& file, Diagnostics& diagnostics);

// The value of a --set: TOML, or a bare string when it is not. Every place in it is `where`.
TomlNode parse_toml_value(const std::string& text, const Where& where);

// A key as TOML writes it, quoted where it must be; a value on one line, which parse_toml_value reads back.
std::string toml_key(const std::string& key);
std::string toml_text(const TomlNode& node);

// A scalar or a list of such; nothing for tables and dates.
std::optional<Value> to_value(const TomlNode& node);

// As an error message quotes it: `"text"`, `3`, `[1, 2]`, `a table`.
std::string describe(const TomlNode& node);

}  // namespace espalier
