// SPDX-License-Identifier: Apache-2.0
// A component's options from a short list of values, as a recipe would give them.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "espalier/sdk/options.hpp"

namespace espalier {

class TestOptions final : public OptionSource {
 public:
  TestOptions() = default;
  TestOptions(std::initializer_list<std::pair<const std::string, Value>> values) : values_(values) {}
  TestOptions(const TestOptions& other) : OptionSource(), problems(other.problems), values_(other.values_) {}
  TestOptions& operator=(const TestOptions&) = delete;
  void set(const std::string& key, Value value) { values_[key] = std::move(value); }
  const Value* find(std::string_view key) const override {
    const auto found = values_.find(std::string(key));
    return found == values_.end() ? nullptr : &found->second;
  }
  void problem(std::string_view, const std::string& what, const std::string& got,
               const std::string& expected) override {
    problems.push_back(what + "; got " + got + "; expected " + expected);
  }
  std::vector<std::string> problems;

 private:
  std::map<std::string, Value> values_;
};

// make<KlLoss>({{"temperature", {2.0}}})
template <class Component>
Component make(TestOptions options = {}) {
  return Component(parse_options<typename Component::Options>(options));
}

inline Value text(const char* value) { return {std::string(value)}; }

}  // namespace espalier
