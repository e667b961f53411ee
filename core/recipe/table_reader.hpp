// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "core/recipe/recipe.hpp"
#include "core/recipe/toml_source.hpp"

namespace espalier {

// Reads one table of a recipe through a field list (fields.hpp). Every key that a list names is known; finish() reports
// the others. Problems go to the diagnostics, and the field keeps its default.
class TableReader {
 public:
  // `table` is for messages; `inner` names a table inside it ("optimizer").
  TableReader(const TomlNode& node, std::string table, std::string inner, Diagnostics& diagnostics);

  template <class T>
  void operator()(const char* key, T& field, const std::type_identity_t<T>& fallback, const Limits& limits) {
    field = fallback;
    read(key, field, limits);
  }
  template <class T>
  void required(const char* key, T& field, const Limits& limits) {
    if (!read(key, field, limits) && !has(key)) missing(key, expectation(type_name<T>(), limits));
  }
  template <class T>
  void optional(const char* key, std::optional<T>& field, const Limits& limits) {
    T value{};
    if (read(key, value, limits)) field = value;
  }
  void path(const char* key, fs::path& field, const fs::path& fallback);
  void paths(const char* key, std::vector<fs::path>& field);
  void tokens(const char* key, std::optional<std::int64_t>& field);  // 380e9 is a whole number too
  void bytes(const char* key, std::int64_t& field, std::int64_t fallback);
  void sources(const char* key, std::vector<SourceBlock>& field);
  void tasks(const char* key, std::vector<TaskBlock>& field, std::int64_t shots);  // `shots`: of those that say nothing
  void component(const char* key, Component& field, const char* kind);
  void losses(const char* key, std::vector<LossBlock>& field);
  template <class Block>
  void table(const char* key, Block& block) {
    static const TomlNode empty;
    const TomlNode* node = take(key);
    if (node && !node->is_table()) wrong_type(key, *node, "a table");
    TableReader reader(node && node->is_table() ? *node : empty, table_, key, diagnostics_);
    visit_fields(reader, block);
    reader.finish();
  }

  // A list of numbers; absent: empty.
  void list(const char* key, std::vector<double>& field, const Limits& limits) { read(key, field, limits); }
  void amount(const char* key, std::optional<double>& field);  // a number, or a size such as "24GB"
  // A list of tables. `finish_block(reader, block)` takes places and holds the rules between a block's fields.
  template <class Block>
  void blocks(const char* key, std::vector<Block>& field, const char* expected) {
    const TomlNode* node = take(key);
    if (!node) return;
    if (!node->is_list()) return wrong_type(key, *node, expected);
    for (const TomlNode& element : node->list) {
      if (!element.is_table()) {
        wrong_type(key, element, expected);
        continue;
      }
      TableReader reader(element, table_, key, diagnostics_);
      Block& block = field.emplace_back();
      visit_fields(reader, block);
      finish_block(reader, block);
      reader.finish();
    }
  }

  // Makes a component of a table whose key `name_key` holds its name; keys in `host_keys` are not options.
  Component make_component(const TomlNode& node, const char* name_key, const char* kind,
                           const std::vector<std::string>& host_keys);

  const TomlNode* take(const char* key);  // marks the key as known
  bool has(const char* key) const { return node_.find(key) != nullptr; }
  Where where(const char* key) const;                        // of the key's value, or of the table
  std::vector<Where> element_places(const char* key) const;  // of the elements of a list
  void error(const char* key, const std::string& what, const std::string& got, const std::string& expected);
  void missing(const char* key, const std::string& expected);
  void wrong_type(const char* key, const TomlNode& node, const std::string& expected);
  void finish();  // unknown keys

 private:
  template <class T>
  static std::string type_name() {
    return detail::FieldType<T>::name;
  }
  template <class T>
  bool read(const char* key, T& field, const Limits& limits) {
    const TomlNode* node = take(key);
    if (!node) return false;
    const std::optional<Value> value = to_value(*node);
    const std::optional<T> parsed = value ? detail::FieldType<T>::from(*value) : std::nullopt;
    if (!parsed) {
      wrong_type(key, *node, expectation(type_name<T>(), limits));
    } else if (!detail::within(*parsed, limits)) {
      error(key, limits.choices.empty() ? "is out of range" : "is not a known choice", describe(*node),
            expectation(type_name<T>(), limits));
    } else {
      field = *parsed;
      return true;
    }
    return false;
  }
  std::string named(const char* key) const { return inner_.empty() ? key : inner_ + "." + key; }

  const TomlNode& node_;
  std::string table_, inner_;
  Diagnostics& diagnostics_;
  std::vector<std::string> known_;
};

}  // namespace espalier
