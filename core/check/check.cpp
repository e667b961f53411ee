// SPDX-License-Identifier: Apache-2.0
#include "core/check/check.hpp"

#include <algorithm>
#include <type_traits>

#include "core/base/crash.hpp"
#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/check/kit.hpp"
#include "core/plugin/loader.hpp"

namespace espalier {
namespace {

// Calls use(make, text) with the defaults and with every other choice that the component accepts.
template <class Interface, class Use>
testkit::Report with_variants(const std::string& name, const Factory<Interface>& factory, Use&& use) {
  testkit::Report report;
  report.component = name;
  for (const testkit::Variant& variant : testkit::variants(factory)) {
    testkit::Options source(variant.values);
    factory.check(source);
    if (source.texts.empty()) report.add(use(testkit::maker(factory, variant.values), variant.text));
  }
  return report;
}

class Checker {
 public:
  // The axes of the search path live in a registry of their own: the library may bring one of the same name.
  explicit Checker(const Registry& registry) : registry_(registry) { load_plugins({}, known_); }

  testkit::Report check(const ComponentInfo& component) {
    const std::string& name = component.name;
    if (const auto* metric = registry_.factory<ImportanceMetric>(name); metric && component.kind == "metric") {
      return with_host(name, *metric, [&](const auto& make, const std::string& options) {
        return check_metric_in_host(name, make, options);
      });
    }
    if (const auto* axis = registry_.factory<PruningAxis>(name); axis && component.kind == "axis") {
      return with_host(name, *axis, [&](const auto& make, const std::string& options) {
        return check_axis_in_host(name, make, partners(), options);
      });
    }
    if (const auto* scheduler = registry_.factory<Scheduler>(name); scheduler && component.kind == "scheduler")
      return run_kit(name, *scheduler);
    if (const auto* loss = registry_.factory<LogitLoss>(name)) return run_kit(name, *loss);
    return run_kit(name, *registry_.factory<FeatureLoss>(name));
  }

 private:
  template <class Interface, class Use>
  static testkit::Report with_host(const std::string& name, const Factory<Interface>& factory, Use&& use) {
    testkit::Report report = run_kit(name, factory);
    if (!report.finding("component/made")) report.add(with_variants(name, factory, use));
    return report;
  }

  std::vector<PartnerAxis> partners() const {
    std::vector<PartnerAxis> found;
    for (const ComponentInfo& component : known_.components()) {
      if (component.kind != "axis") continue;
      const Factory<PruningAxis>& factory = *known_.factory<PruningAxis>(component.name);
      found.push_back({component.name, testkit::maker(factory, testkit::opt_ins(factory))});
    }
    return found;
  }

  const Registry& registry_;
  Registry known_;
};

std::vector<ComponentInfo> chosen_of(const Registry& registry, const std::string& only) {
  std::vector<ComponentInfo> chosen = registry.components();
  const PluginInfo plugin = registry.plugins().front();
  if (chosen.empty()) fail("{}: plugin {} registers no component; expected one or more", plugin.path, plugin.name);
  std::vector<std::string> names;
  for (const ComponentInfo& component : chosen) names.push_back(component.name);
  std::erase_if(chosen, [&](const ComponentInfo& component) { return !only.empty() && component.name != only; });
  if (chosen.empty()) {
    reject("plugins check: plugin {} has no such component; got '{}'; expected {}{}", plugin.name, only, any_of(names),
           did_you_mean(only, names));
  }
  return chosen;
}

void check_known(const std::vector<std::string>& properties) {
  std::vector<std::string> known;
  for (const testkit::Property& property : testkit::kProperties) known.emplace_back(property.id);
  for (const std::string& one : properties) {
    if (std::find(known.begin(), known.end(), one) != known.end()) continue;
    reject("plugins check: --except: unknown property; got '{}'; expected {}{}", one, any_of(known),
           did_you_mean(one, known));
  }
}

void leave_out(testkit::Report& report, const std::vector<std::string>& except) {
  for (const std::string& property : except) {
    const auto left = std::erase_if(report.findings, [&](const auto& finding) { return finding.property == property; });
    if (left > 0) report.skipped.push_back({property, "it fails, and was left out by --except"});
  }
}

}  // namespace

bool PluginCheck::ok() const {
  return std::all_of(components.begin(), components.end(), [](const ComponentCheck& one) { return one.report.ok(); });
}

PluginCheck check_plugin(const fs::path& library, const std::string& only, const std::vector<std::string>& except) {
  check_known(except);
  Registry registry;
  load_plugin(library, registry);
  PluginCheck result;
  result.plugin = registry.plugins().front();
  const std::vector<ComponentInfo> chosen = chosen_of(registry, only);
  Checker checker(registry);
  const CrashPlace place(testkit::running);
  for (const ComponentInfo& component : chosen) {
    result.components.push_back({component.kind, checker.check(component)});
    leave_out(result.components.back().report, except);
  }
  return result;
}

}  // namespace espalier
