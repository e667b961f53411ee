// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "core/plugin/loader.hpp"
#include "core/plugin/registry.hpp"
#include "tests/support/temporary_folder.hpp"

namespace espalier_test {

inline std::string fixture(const std::string& name) { return ESPALIER_FIXTURES "/plugins/lib" + name + ".so"; }

class Folder : public espalier::test::TemporaryFolder {
 public:
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
};

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class TestHost final : public espalier::Host {
 public:
  std::uint64_t seed() const override { return 5; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}
};

inline espalier::Component block(const std::string& kind, const std::string& name) {
  auto made = std::make_shared<espalier::ComponentBlock>();
  made->kind = kind;
  made->table = kind == "axis" || kind == "metric" ? "prune" : "distill";
  made->name = name;
  made->where = {"r.toml", 3, 10};
  return made;
}

// With the option `key` at column `column` of line 3.
inline espalier::Component block(const std::string& kind, const std::string& name, const std::string& key,
                                 espalier::Value value, int column = 20) {
  espalier::Component made = block(kind, name);
  made->options[key] = {std::move(value), {"r.toml", 3, column}};
  return made;
}

}  // namespace espalier_test
