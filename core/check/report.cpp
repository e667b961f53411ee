// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/check/check.hpp"

namespace espalier {
namespace {

nlohmann::json properties_json(const testkit::Report& report) {
  nlohmann::json list = nlohmann::json::array();
  for (const testkit::Property& property : testkit::kProperties) {
    nlohmann::json one = {{"property", property.id}};
    if (report.finding(property.id)) {
      one["status"] = "FAIL";
    } else if (const testkit::Passed* passed = report.pass(property.id)) {
      one["status"] = "ok";
      one["cases"] = passed->cases;
      if (!passed->note.empty()) one["note"] = passed->note;
    } else if (const testkit::Skipped* skipped = report.skip(property.id)) {
      one["status"] = "skipped";
      one["reason"] = skipped->reason;
    } else {
      continue;
    }
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string check_text(const PluginCheck& check) {
  std::string text = fmt::format("plugin {} {} ({})\n", check.plugin.name, check.plugin.version, check.plugin.path);
  std::size_t failed = 0;
  for (const ComponentCheck& component : check.components) {
    text += fmt::format("\n{} {}", component.kind, testkit::to_text(component.report));
    if (!component.report.ok()) ++failed;
  }
  const std::size_t count = check.components.size();
  text += fmt::format("\n{} of {} component{} kept every promise\n", count - failed, count, count == 1 ? "" : "s");
  return text;
}

nlohmann::json check_json(const PluginCheck& check) {
  nlohmann::json components = nlohmann::json::array();
  for (const ComponentCheck& component : check.components) {
    nlohmann::json findings = nlohmann::json::array();
    for (const testkit::Finding& finding : component.report.findings) {
      findings.push_back({{"property", finding.property},
                          {"what", finding.what},
                          {"example", finding.example},
                          {"read", finding.read}});
    }
    components.push_back({{"kind", component.kind},
                          {"name", component.report.component},
                          {"passed", component.report.ok()},
                          {"properties", properties_json(component.report)},
                          {"findings", findings}});
  }
  return {{"plugin", {{"name", check.plugin.name}, {"version", check.plugin.version}, {"library", check.plugin.path}}},
          {"passed", check.ok()},
          {"components", components}};
}

}  // namespace espalier
