// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/Parallel.h>

#include <cstdlib>
#include <map>
#include <string>

#include "core/check/check.hpp"

namespace espalier::test {

// A whole library of tests/fixtures/plugins/, checked once. Axes are composed with those of the program.
inline const PluginCheck& checked_fixture(const std::string& name) {
  static std::map<std::string, PluginCheck> done;
  at::set_num_threads(1);  // the models are tiny
  setenv("ESPALIER_PLUGIN_PATH", ESPALIER_BINARY_DIR "/plugins", 1);
  const auto known = done.find(name);
  if (known != done.end()) return known->second;
  return done[name] = check_plugin(ESPALIER_FIXTURES "/plugins/lib" + name + ".so");
}

inline const testkit::Report* report_of(const PluginCheck& check, const std::string& component) {
  for (const ComponentCheck& one : check.components) {
    if (one.report.component == component) return &one.report;
  }
  return nullptr;
}

}  // namespace espalier::test
