// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/recipe/diagnostics.hpp"
#include "espalier/sdk/options.hpp"

namespace espalier {

// One component block of a recipe: a name, and the component's own options beside it, with their places. Holds no
// toml++ type, so that it can travel.
class ComponentBlock final : public OptionSource {
 public:
  std::string kind;   // "metric", "axis", "loss", "scheduler", for messages
  std::string table;  // "prune", "distill", …, for messages
  std::string name;
  Where where;                         // of the name, else of the block
  std::vector<std::string> host_keys;  // keys beside the options that are the host's ("weight"), for "did you mean"
  struct Option {
    Value value;
    Where where;
  };
  std::map<std::string, Option, std::less<>> options;

  const Value* find(std::string_view key) const override;
  // "key of kind 'name' is …" goes to `diagnostics` while one is attached, else throws RecipeError.
  void problem(std::string_view key, const std::string& what, const std::string& got,
               const std::string& expected) override;
  Diagnostics* diagnostics = nullptr;
};

using Component = std::shared_ptr<ComponentBlock>;

}  // namespace espalier
