// SPDX-License-Identifier: Apache-2.0
// What `espalier plugins list` and `plugins show` print.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "core/plugin/registry.hpp"

namespace espalier {

// One line for each component: name, plugin, doc; under a heading for each kind.
std::string plugins_list_text(const Registry& registry);

// Every component of this name (all of them when `name` is empty): where it comes from and its options.
// Throws RecipeError with "did you mean" when there is none.
std::string plugins_show_text(const Registry& registry, const std::string& name);

// The same for a page of documentation: a heading and a table of options for each component.
std::string plugins_show_markdown(const Registry& registry, const std::string& name);

// The same as a list of objects: kind, name, doc, plugin {name, version, library}, options [{name, type, default, …}].
nlohmann::json plugins_json(const Registry& registry, const std::string& name);

}  // namespace espalier
