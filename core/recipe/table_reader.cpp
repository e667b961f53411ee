// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/table_reader.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/strings.hpp"
#include "core/recipe/foreign_names.hpp"

namespace espalier {
namespace {

// Whole numbers up to here are exact in a double.
constexpr double kLargestExact = 9007199254740992.0;

const std::string* text_of(const TomlNode& node) {
  return node.type == TomlNode::Type::scalar ? std::get_if<std::string>(&node.scalar.data) : nullptr;
}

}  // namespace

TableReader::TableReader(const TomlNode& node, std::string table, std::string inner, Diagnostics& diagnostics)
    : node_(node), table_(std::move(table)), inner_(std::move(inner)), diagnostics_(diagnostics) {}

const TomlNode* TableReader::take(const char* key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  const TomlEntry* entry = node_.find(key);
  return entry ? &entry->node : nullptr;
}

Where TableReader::where(const char* key) const {
  const TomlEntry* entry = node_.find(key);
  return entry ? entry->node.where : node_.where;
}

std::vector<Where> TableReader::element_places(const char* key) const {
  std::vector<Where> places;
  const TomlEntry* entry = node_.find(key);
  if (entry == nullptr) return places;
  for (const TomlNode& element : entry->node.list) places.push_back(element.where);
  return places;
}

void TableReader::error(const char* key, const std::string& what, const std::string& got, const std::string& expected) {
  diagnostics_.error(where(key), table_, named(key) + " " + what, got, expected);
}

void TableReader::missing(const char* key, const std::string& expected) { error(key, "is missing", "", expected); }

void TableReader::wrong_type(const char* key, const TomlNode& node, const std::string& expected) {
  diagnostics_.error(node.where, table_, named(key) + " has the wrong type", describe(node), expected);
}

void TableReader::finish() {
  for (const TomlEntry& entry : node_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const std::string of = inner_.empty() ? "" : " of " + inner_;
    const std::string ours = our_name(inner_.empty() ? table_ : inner_, entry.key);
    if (!ours.empty()) {
      diagnostics_.error(entry.where, table_, "another program's name for a key" + of, "'" + entry.key + "'", ours);
    } else {
      diagnostics_.error(entry.where, table_, "unknown key" + of, "'" + entry.key + "'",
                         plain_any_of(known_) + did_you_mean(entry.key, known_));
    }
  }
}

void TableReader::path(const char* key, fs::path& field, const fs::path& fallback) {
  std::string text = fallback.string();
  if (read(key, text, any()) && text.empty()) error(key, "is empty", "", "a path");
  field = text;
}

void TableReader::paths(const char* key, std::vector<fs::path>& field) {
  std::vector<std::string> texts;
  if (read(key, texts, any())) field.assign(texts.begin(), texts.end());
}

void TableReader::tokens(const char* key, std::optional<std::int64_t>& field) {
  double number = 0.0;
  if (!read(key, number, at_least(1))) return;
  if (number != std::floor(number) || number > kLargestExact) {
    error(key, "is not a whole number", describe(*take(key)), "a number of tokens of at least 1");
    return;
  }
  field = static_cast<std::int64_t>(number);
}

void TableReader::bytes(const char* key, std::int64_t& field, std::int64_t fallback) {
  field = fallback;
  const TomlNode* node = take(key);
  if (!node) return;
  const std::string expected = "a size such as \"5GB\", or a number of bytes of at least 1";
  std::int64_t parsed = 0;
  if (const std::string* text = text_of(*node)) {
    try {
      parsed = parse_bytes(*text);
    } catch (const Error&) {
      parsed = 0;  // told below, with the place
    }
  } else if (const auto* number = std::get_if<std::int64_t>(&node->scalar.data);
             number && node->type == TomlNode::Type::scalar) {
    parsed = *number;
  } else {
    return wrong_type(key, *node, expected);
  }
  if (parsed < 1) return error(key, "is not a size", describe(*node), expected);
  field = parsed;
}

void TableReader::amount(const char* key, std::optional<double>& field) {
  const TomlNode* node = take(key);
  if (!node) return;
  const std::string* text = text_of(*node);
  if (!text) return optional(key, field, above(0));
  try {
    field = static_cast<double>(parse_bytes(*text));
  } catch (const Error&) {
    error(key, "is not a size", describe(*node), "a size such as \"24GB\", or a number above 0");
  }
}

void TableReader::sources(const char* key, std::vector<SourceBlock>& field) {
  const TomlNode* node = take(key);
  if (!node) return;
  const std::string expected = "a path, a list of paths or a list of { path = \"…\", weight = … }";
  if (const std::string* text = text_of(*node)) {
    if (text->empty()) return error(key, "is empty", "", expected);
    field = {{*text, std::nullopt, "", node->where}};
    return;
  }
  if (!node->is_list() || node->list.empty()) return wrong_type(key, *node, expected);
  for (const TomlNode& element : node->list) {
    SourceBlock source{"", std::nullopt, "", element.where};
    if (const std::string* text = text_of(element)) {
      source.path = *text;
    } else if (element.is_table()) {
      TableReader reader(element, table_, key, diagnostics_);
      reader.required("path", source.path, any());
      reader.optional("weight", source.weight, above(0));
      reader("name", source.name, "", any());
      reader.finish();
    } else {
      wrong_type(key, element, expected);
    }
    field.push_back(std::move(source));
  }
  const auto weighted =
      std::count_if(field.begin(), field.end(), [](const SourceBlock& s) { return s.weight.has_value(); });
  if (weighted != 0 && weighted != static_cast<std::ptrdiff_t>(field.size())) {
    error(key, "has entries with and without a weight",
          fmt::format("{} weights for {} entries", weighted, field.size()),
          "a weight on every entry, or on none (then in proportion to size)");
  }
}

void TableReader::tasks(const char* key, std::vector<TaskBlock>& field, std::int64_t shots) {
  const TomlNode* node = take(key);
  if (!node) return;
  const std::string expected = "a list of paths or of { path = \"…\", name = \"…\", shots = … }";
  if (!node->is_list()) return wrong_type(key, *node, expected);
  std::vector<std::string> names;
  for (const TomlNode& element : node->list) {
    TaskBlock task{"", "", shots, element.where};
    if (const std::string* text = text_of(element)) {
      task.path = *text;
    } else if (element.is_table()) {
      TableReader reader(element, table_, key, diagnostics_);
      reader.required("path", task.path, any());
      reader("name", task.name, "", any());
      reader("shots", task.shots, shots, at_least(0));
      reader.finish();
    } else {
      wrong_type(key, element, expected);
      continue;
    }
    if (task.name.empty()) task.name = task_name_of(task.path);
    if (std::find(names.begin(), names.end(), task.name) != names.end()) {
      diagnostics_.error(element.where, table_, named(key) + " have the same name", "'" + task.name + "' twice",
                         "names that differ: { path = \"…\", name = \"…\" }");
    }
    names.push_back(task.name);
    field.push_back(std::move(task));
  }
}

Component TableReader::make_component(const TomlNode& node, const char* name_key, const char* kind,
                                      const std::vector<std::string>& host_keys) {
  auto block = std::make_shared<ComponentBlock>();
  block->kind = kind;
  block->table = table_;
  block->where = node.where;
  block->host_keys = host_keys;
  for (const TomlEntry& entry : node.entries) {
    if (std::find(host_keys.begin(), host_keys.end(), entry.key) != host_keys.end()) continue;
    if (entry.key == name_key) {
      block->where = entry.node.where;
      const std::string* name = text_of(entry.node);
      if (name) block->name = *name;
      if (!name) wrong_type(name_key, entry.node, "the name of a component, a string");
      continue;
    }
    std::optional<Value> value = to_value(entry.node);
    if (value) {
      block->options[entry.key] = {std::move(*value), entry.node.where};
    } else {
      diagnostics_.error(entry.node.where, table_, fmt::format("{} of the {} has the wrong type", entry.key, kind),
                         describe(entry.node), "a bool, a number, a string or a list of these");
    }
  }
  if (!node.find(name_key)) {
    diagnostics_.error(node.where, table_, fmt::format("{} without a name", kind), "",
                       fmt::format("{} = \"…\"", name_key));
    return nullptr;
  }
  return block->name.empty() ? nullptr : block;
}

void TableReader::component(const char* key, Component& field, const char* kind) {
  const TomlNode* node = take(key);
  const std::string expected = fmt::format("{} = {{ name = \"…\", … }}", key);
  if (!node) return missing(key, expected);
  if (!node->is_table()) return wrong_type(key, *node, expected);
  field = make_component(*node, "name", kind, {});
}

void TableReader::losses(const char* key, std::vector<LossBlock>& field) {
  const TomlNode* node = take(key);
  const std::string expected = "losses = [ { name = \"…\", weight = 1.0, … } ]";
  if (!node) return missing(key, expected);
  if (!node->is_list() || node->list.empty()) return wrong_type(key, *node, expected);
  for (const TomlNode& element : node->list) {
    if (!element.is_table()) {
      wrong_type(key, element, expected);
      continue;
    }
    LossBlock block;
    TableReader reader(element, table_, "losses", diagnostics_);
    reader("weight", block.weight, 1.0, above(0));
    block.loss = reader.make_component(element, "name", "loss", {"weight"});
    if (block.loss) field.push_back(std::move(block));
  }
}

}  // namespace espalier
