// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/base/strings.hpp"
#include "core/recipe/fields.hpp"
#include "core/recipe/recipe.hpp"
#include "core/recipe/sweep_fields.hpp"
#include "core/recipe/sweep_recipe.hpp"

namespace espalier {
namespace {

std::string toml_string(const std::string& text) { return to_text(Value{text}); }

// The keys of one table with their values as TOML, in the order of the field list.
class TableWriter {
 public:
  explicit TableWriter(const FieldsOf& fields) : fields_(fields) {}

  template <class T>
  void operator()(const char* key, const T& field, const std::type_identity_t<T>&, const Limits&) {
    add(key, to_text(Value{field}));
  }
  template <class T>
  void required(const char* key, const T& field, const Limits&) {
    add(key, to_text(Value{field}));
  }
  template <class T>
  void optional(const char* key, const std::optional<T>& field, const Limits&) {
    if (field) add(key, to_text(Value{*field}));
  }
  void path(const char* key, const fs::path& field, const fs::path&) {
    if (!field.empty()) add(key, toml_string(field.string()));
  }
  void tokens(const char* key, const std::optional<std::int64_t>& field) { optional(key, field, any()); }
  void bytes(const char* key, std::int64_t field, std::int64_t) { add(key, to_text(Value{field})); }
  void list(const char* key, const std::vector<double>& field, const Limits&) {
    if (field.empty()) return;
    std::vector<std::string> numbers;
    for (const double number : field) numbers.push_back(to_text(Value{number}));
    add(key, list_text(numbers));
  }
  void amount(const char* key, const std::optional<double>& field) { optional(key, field, any()); }
  template <class Block>
  void blocks(const char* key, std::vector<Block>& blocks, const char*) {
    std::vector<std::string> texts;
    for (Block& block : blocks) {
      TableWriter inner(fields_);
      visit_fields(inner, block);
      texts.push_back(inner.inline_table());
    }
    add(key, list_text(texts));
  }
  void sources(const char* key, const std::vector<SourceBlock>& sources) {
    std::vector<std::string> texts;
    for (const SourceBlock& source : sources) {
      TableWriter inner(fields_);
      inner.add("path", toml_string(source.path));
      inner.optional("weight", source.weight, any());
      if (!source.name.empty()) inner.add("name", toml_string(source.name));
      texts.push_back(inner.inline_table());
    }
    if (!texts.empty()) add(key, list_text(texts));
  }
  void tasks(const char* key, const std::vector<TaskBlock>& tasks, std::int64_t) {
    std::vector<std::string> texts;
    for (const TaskBlock& task : tasks) {
      TableWriter inner(fields_);
      inner.add("path", toml_string(task.path));
      inner.add("name", toml_string(task.name));
      inner.add("shots", to_text(Value{task.shots}));
      texts.push_back(inner.inline_table());
    }
    add(key, list_text(texts));
  }
  void component(const char* key, const Component& component, const char*) {
    if (!component) return;
    TableWriter inner(fields_);
    inner.add("name", toml_string(component->name));
    inner.options(*component);
    add(key, inner.inline_table());
  }
  void losses(const char* key, const std::vector<LossBlock>& losses) {
    std::vector<std::string> texts;
    for (const LossBlock& block : losses) {
      TableWriter inner(fields_);
      inner.add("name", toml_string(block.loss->name));
      inner.add("weight", to_text(Value{block.weight}));
      inner.options(*block.loss);
      texts.push_back(inner.inline_table());
    }
    add(key, list_text(texts));
  }
  template <class Block>
  void table(const char* key, Block& block) {
    TableWriter inner(fields_);
    visit_fields(inner, block);
    add(key, inner.inline_table());
  }

  // Every field of the component, then what the recipe gives beyond them (unknown to an absent plugin).
  void options(const ComponentBlock& block) {
    std::vector<std::string> known;
    for (const FieldInfo& field : fields_ ? fields_(block) : std::vector<FieldInfo>()) {
      const Value* given = block.find(field.name);
      add(field.name, to_text(given ? *given : field.fallback));
      known.push_back(field.name);
    }
    for (const auto& [key, option] : block.options) {
      if (std::find(known.begin(), known.end(), key) == known.end()) add(key, to_text(option.value));
    }
  }

  void add(const std::string& key, std::string value) { rows_.emplace_back(toml_key(key), std::move(value)); }

  std::string inline_table() const {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : rows_) pairs.push_back(key + " = " + value);
    return pairs.empty() ? "{}" : "{ " + join(pairs, ", ") + " }";
  }
  std::string lines(const std::string& header) const {
    std::string text = header.empty() ? "" : "\n" + header + "\n";
    for (const auto& [key, value] : rows_) text += key + " = " + value + "\n";
    return text;
  }
  static std::string list_text(const std::vector<std::string>& elements) { return "[" + join(elements, ", ") + "]"; }

 private:
  const FieldsOf& fields_;
  std::vector<std::pair<std::string, std::string>> rows_;
};

std::string head_text(const Recipe& recipe, const FieldsOf& fields) {
  TableWriter head(fields);
  head.add("schema", "1");
  head.add("name", toml_string(recipe.name));
  head.add("seed", std::to_string(recipe.seed));
  head.add("output", toml_string(recipe.output.string()));
  std::vector<std::string> plugins;
  for (const fs::path& plugin : recipe.plugins) plugins.push_back(toml_string(plugin.string()));
  head.add("plugins", TableWriter::list_text(plugins));
  return head.lines("");
}

std::string teacher_text(const TeacherBlock& teacher, const FieldsOf& fields) {
  TableWriter table(fields);
  if (teacher.spec) {
    SpecFields spec = from_spec(*teacher.spec);
    table.table("spec", spec);
  } else {
    table.add("path", toml_string(teacher.path.string()));
    if (!teacher.config.empty()) table.add("config", toml_string(teacher.config.string()));
  }
  return table.lines("[teacher]");
}

std::string prune_text(const PruneBlock& block, const FieldsOf& fields) {
  TableWriter table(fields);
  table.add("axis", toml_string(block.axis->name));
  table.optional("keep", block.keep, any());
  table.optional("ratio", block.ratio, any());
  table.component("metric", block.metric, "metric");
  table.options(*block.axis);
  return table.lines("[[prune]]");
}

template <class Block, class... Context>
std::string table_text(const char* header, Block& block, const FieldsOf& fields, const Context&... context) {
  TableWriter table(fields);
  visit_fields(table, block, context...);
  return table.lines(header);
}

}  // namespace

std::string search_text(const SearchBlock& search) {
  SearchBlock copy = search;
  return table_text("[search]", copy, {});
}

std::string sweep_text(const SweepBlock& sweep) {
  TableWriter table({});
  if (!sweep.seeds.empty()) table.add("seeds", to_text(detail::to_value(sweep.seeds)));
  std::vector<std::string> teachers;
  for (const SweepTeacher& teacher : sweep.teachers) {
    teachers.push_back(
        fmt::format("{{ path = {}, name = {} }}", toml_string(teacher.path.string()), toml_string(teacher.name)));
  }
  if (!teachers.empty()) table.add("teachers", TableWriter::list_text(teachers));
  if (!sweep.baseline.empty()) table.add("baseline", toml_string(sweep.baseline));
  if (sweep.match) {
    SweepMatch match = *sweep.match;
    table.table("match", match);
  }
  std::string text = table.lines("[sweep]");
  for (const SweepArm& arm : sweep.arms) {
    TableWriter one({});
    one.add("name", toml_string(arm.name));
    if (!arm.free.empty()) one.add("free", toml_string(arm.free));
    for (const TomlEntry& entry : arm.changes.entries) one.add(entry.key, toml_text(entry.node));
    text += one.lines("[[sweep.arm]]");
  }
  return text;
}

std::string to_toml(const Recipe& recipe, const FieldsOf& fields) {
  Recipe copy = recipe;  // the field lists are shared with the reader and take fields by reference
  std::string text = head_text(copy, fields) + teacher_text(copy.teacher, fields);
  text += table_text("[data]", copy.data, fields);
  if (copy.correct) text += table_text("[correct]", *copy.correct, fields, false);
  text += table_text("[score]", copy.score, fields, copy.data);
  for (const PruneBlock& block : copy.prune) text += prune_text(block, fields);
  if (copy.search) text += search_text(*copy.search);
  if (copy.distill) text += table_text("[distill]", *copy.distill, fields, true);
  if (copy.teacher_cache) text += table_text("[teacher_cache]", *copy.teacher_cache, fields);
  text += table_text("[eval]", copy.eval, fields, copy.data);
  text += table_text("[export]", copy.export_block, fields);
  if (copy.locked.empty()) return text;
  TableWriter locked(fields);
  for (const auto& [key, digest] : copy.locked) locked.add(key, toml_string(digest));
  return text + locked.lines("[lock]");
}

}  // namespace espalier
