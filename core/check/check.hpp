// SPDX-License-Identifier: Apache-2.0
// Does a plugin keep its promises? Every component of a library against the conformance kit of the SDK, and against
// what only the host can show: that a model sliced along an axis computes what the masked one does, and that a metric
// scores a model.
// Non-goals: speed; whether a metric or a loss is any good.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/base/files.hpp"
#include "core/plugin/registry.hpp"
#include "espalier/testkit/finding.hpp"

namespace espalier {

struct ComponentCheck {
  std::string kind;
  testkit::Report report;
};

struct PluginCheck {
  PluginInfo plugin;
  std::vector<ComponentCheck> components;
  bool ok() const;
};

// Loads the library and checks each of its components, or those named `only`. Axes are composed with those of the
// search path. Throws Error when the library cannot be loaded or registers nothing, RecipeError when it has no
// component `only`, or the kit no property that is in `except`: those are reported as skipped when they fail, for what
// an author means to be so (a schedule that restarts).
PluginCheck check_plugin(const fs::path& library, const std::string& only = "",
                         const std::vector<std::string>& except = {});

std::string check_text(const PluginCheck& check);
nlohmann::json check_json(const PluginCheck& check);

}  // namespace espalier
