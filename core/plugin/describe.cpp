// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/describe.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/recipe/value_json.hpp"

namespace espalier {
namespace {

// Left-aligned columns two blanks apart; the last one is as long as it is. `indent` blanks before each line.
std::string columns(const std::vector<std::vector<std::string>>& rows, std::size_t indent) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line(indent, ' ');
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::vector<ComponentInfo> named(const Registry& registry, const std::string& name) {
  std::vector<ComponentInfo> chosen;
  std::vector<std::string> names;
  for (ComponentInfo& component : registry.components()) {
    names.push_back(component.name);
    if (name.empty() || component.name == name) chosen.push_back(std::move(component));
  }
  if (chosen.empty() && !name.empty()) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    reject("plugins show: unknown component; got '{}'; expected {}{}", name,
           names.empty() ? "a plugin that provides one" : any_of(names), did_you_mean(name, names));
  }
  return chosen;
}

nlohmann::json to_json(const FieldInfo& field) {
  nlohmann::json json = {
      {"name", field.name}, {"type", field.type}, {"default", to_json(field.fallback)}, {"doc", field.doc}};
  if (field.limits.minimum) json[field.limits.minimum_excluded ? "above" : "minimum"] = *field.limits.minimum;
  if (field.limits.maximum) json["maximum"] = *field.limits.maximum;
  if (!field.limits.choices.empty()) json["choices"] = field.limits.choices;
  return json;
}

// A table's cell: a bar would end it.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.replace(at, 1, "\\|");
  return text;
}

std::string show_markdown(const ComponentInfo& component) {
  std::string text = fmt::format("## {} `{}`\n\n{} (plugin {} {})\n\n", component.kind, component.name, component.doc,
                                 component.plugin.name, component.plugin.version);
  if (component.fields.empty()) return text + "It has no options.\n";
  text += "| option | default | expects | what it does |\n|---|---|---|---|\n";
  for (const FieldInfo& field : component.fields) {
    text += fmt::format("| `{}` | `{}` | {} | {} |\n", field.name, cell(to_text(field.fallback)),
                        cell(expectation(field.type, field.limits)), cell(field.doc));
  }
  return text;
}

std::string show(const Registry& registry, const ComponentInfo& component) {
  std::string text = fmt::format("{} {}: {}\n", component.kind, component.name, component.doc);
  std::vector<std::vector<std::string>> facts = {{"plugin", component.plugin.name + " " + component.plugin.version},
                                                 {"library", component.plugin.path}};
  if (component.kind == "axis") {
    if (const std::optional<AxisInfo> axis = registry.axis_info(component.name)) {
      facts.push_back({"Hugging Face", axis->hugging_face_name});
      facts.push_back({"Megatron", axis->megatron_name});
      facts.push_back({"unit", axis->unit});
    }
  }
  text += columns(facts, 2);
  std::vector<std::vector<std::string>> options;
  for (const FieldInfo& field : component.fields) {
    options.push_back({field.name, "= " + to_text(field.fallback), expectation(field.type, field.limits), field.doc});
  }
  return text + (options.empty() ? "  no options\n" : "  options\n" + columns(options, 4));
}

}  // namespace

std::string plugins_list_text(const Registry& registry) {
  std::string text, kind;
  std::vector<std::vector<std::string>> rows;
  const auto flush = [&] {
    text += columns(rows, 2);
    rows.clear();
  };
  for (const ComponentInfo& component : registry.components()) {
    if (component.kind != kind) {
      flush();
      kind = component.kind;
      text += (text.empty() ? "" : "\n") + kind + "\n";
    }
    rows.push_back({component.name, component.plugin.name + " " + component.plugin.version, component.doc});
  }
  flush();
  return text.empty() ? "no plugins are loaded\n" : text;
}

std::string plugins_show_text(const Registry& registry, const std::string& name) {
  std::string text;
  for (const ComponentInfo& component : named(registry, name)) {
    text += (text.empty() ? "" : "\n") + show(registry, component);
  }
  return text;
}

std::string plugins_show_markdown(const Registry& registry, const std::string& name) {
  std::string text;
  for (const ComponentInfo& component : named(registry, name)) {
    text += (text.empty() ? "" : "\n") + show_markdown(component);
  }
  return text;
}

nlohmann::json plugins_json(const Registry& registry, const std::string& name) {
  nlohmann::json list = nlohmann::json::array();
  for (const ComponentInfo& component : named(registry, name)) {
    nlohmann::json json = {{"kind", component.kind}, {"name", component.name}, {"doc", component.doc}};
    json["plugin"] = {
        {"name", component.plugin.name}, {"version", component.plugin.version}, {"library", component.plugin.path}};
    json["options"] = nlohmann::json::array();
    for (const FieldInfo& field : component.fields) json["options"].push_back(to_json(field));
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace espalier
