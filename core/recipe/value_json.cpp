// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/value_json.hpp"

#include <variant>

#include <nlohmann/json.hpp>

namespace espalier {

nlohmann::json to_json(const Value& value) {
  struct Visitor {
    nlohmann::json operator()(const ValueList& list) const {
      nlohmann::json array = nlohmann::json::array();
      for (const Value& element : list) array.push_back(to_json(element));
      return array;
    }
    nlohmann::json operator()(bool flag) const { return flag; }
    nlohmann::json operator()(std::int64_t number) const { return number; }
    nlohmann::json operator()(double number) const { return number; }
    nlohmann::json operator()(const std::string& text) const { return text; }
  };
  return std::visit(Visitor{}, value.data);
}

}  // namespace espalier
