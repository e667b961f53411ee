// SPDX-License-Identifier: Apache-2.0
// A component of an example plugin, made by the registry from options as a recipe would give them.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <utility>

#include "core/plugin/loader.hpp"
#include "core/plugin/registry.hpp"

namespace espalier::testing {

struct QuietHost final : Host {
  std::uint64_t seed() const override { return 1; }
  void info(const std::string&) const override {}
  void warn(const std::string& text) const override { warning = text; }
  mutable std::string warning;  // the last one
};

class Loaded {
 public:
  using Options = std::initializer_list<std::pair<const char*, Value>>;

 private:
  template <class Maker>
  static auto make(const std::string& kind, const std::string& name, Options options, const Maker& maker) {
    ComponentBlock block;
    block.kind = kind, block.name = name;
    for (const auto& [key, value] : options) block.options[key] = {value, {}};
    return maker(block);
  }

 public:
  explicit Loaded(const std::string& library) { load_plugin(library, registry_); }
  // Kept for the whole program: what a component was made by outlives it.
  static const Loaded& example(const std::string& name) {
    static std::map<std::string, Loaded> kept;
    return kept.try_emplace(name, std::string(EXAMPLE_PLUGINS) + "/libexample_" + name + ".so").first->second;
  }

  auto metric(const std::string& name, Options options = {}) const {
    return make("metric", name, options, [&](ComponentBlock& block) { return registry_.metric(block, host_); });
  }
  auto axis(const std::string& name, Options options = {}) const {
    return make("axis", name, options, [&](ComponentBlock& block) { return registry_.axis(block, host_); });
  }
  auto loss(const std::string& name, Options options = {}) const {
    return make("loss", name, options, [&](ComponentBlock& block) { return registry_.loss(block, host_).on_logits; });
  }
  auto scheduler(const std::string& name, Options options = {}) const {
    return make("scheduler", name, options, [&](ComponentBlock& block) { return registry_.scheduler(block, host_); });
  }

  const std::string& warning() const { return host_.warning; }

 private:
  QuietHost host_;
  Registry registry_;
};

}  // namespace espalier::testing
