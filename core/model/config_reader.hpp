// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace espalier {

// A JSON object of untrusted content as typed values. `null` counts as absent, as in transformers. Errors name the file
// and the key. Sizes are limited, so that their products can be checked before they overflow.
class ConfigReader {
 public:
  // `source` is the file; `prefix` ("rope_scaling.") goes before keys in errors.
  ConfigReader(const nlohmann::json& object, std::string source, std::string prefix = "");

  bool has(const std::string& key) const;       // there and not null
  bool mentions(const std::string& key) const;  // there, null or not

  std::int64_t size(const std::string& key) const;  // a positive integer; required
  std::int64_t size(const std::string& key, std::int64_t fallback) const;
  std::int64_t index(const std::string& key, std::int64_t fallback) const;  // an integer of at least 0
  double positive(const std::string& key) const;                            // a finite number above 0; required
  double positive(const std::string& key, double fallback) const;
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  const nlohmann::json& at(const std::string& key) const;  // required
  ConfigReader object(const std::string& key) const;       // required

  const std::string& source() const { return source_; }
  std::string place(const std::string& key) const { return prefix_ + key; }
  void only(const std::vector<std::string>& keys) const;  // refuses any other key

 private:
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;
  std::int64_t integer(const std::string& key, std::int64_t least, const char* expected) const;

  const nlohmann::json& json_;
  std::string source_, prefix_;
};

}  // namespace espalier
