// SPDX-License-Identifier: Apache-2.0
#include "core/model/config_reader.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/model/validate.hpp"

namespace espalier {
namespace {

std::string shown(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

}  // namespace

ConfigReader::ConfigReader(const nlohmann::json& object, std::string source, std::string prefix)
    : json_(object), source_(std::move(source)), prefix_(std::move(prefix)) {
  if (!json_.is_object()) {
    const std::string what = prefix_.empty() ? "content" : prefix_.substr(0, prefix_.size() - 1);
    fail("{}: {} is not a JSON object; got {}; expected {{…}}", source_, what, shown(json_));
  }
}

bool ConfigReader::mentions(const std::string& key) const { return json_.contains(key); }

bool ConfigReader::has(const std::string& key) const {
  const auto found = json_.find(key);
  return found != json_.end() && !found->is_null();
}

const nlohmann::json& ConfigReader::at(const std::string& key) const {
  if (!has(key)) fail("{}: {} is missing; expected this key", source_, place(key));
  return json_.at(key);
}

ConfigReader ConfigReader::object(const std::string& key) const {
  return ConfigReader(at(key), source_, place(key) + ".");
}

void ConfigReader::refuse(const std::string& key, const std::string& expected) const {
  fail("{}: {} is not valid; got {}; expected {}", source_, place(key), shown(json_.at(key)), expected);
}

std::int64_t ConfigReader::integer(const std::string& key, std::int64_t least, const char* expected) const {
  const nlohmann::json& value = at(key);
  if (!value.is_number_integer()) refuse(key, expected);
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxSize)) {
    refuse(key, concat("at most ", kMaxSize));
  }
  const std::int64_t number = value.get<std::int64_t>();
  if (number < least) refuse(key, expected);
  return number;
}

std::int64_t ConfigReader::size(const std::string& key) const { return integer(key, 1, "a positive integer"); }

std::int64_t ConfigReader::size(const std::string& key, std::int64_t fallback) const {
  return has(key) ? size(key) : fallback;
}

std::int64_t ConfigReader::index(const std::string& key, std::int64_t fallback) const {
  return has(key) ? integer(key, 0, "an integer of at least 0") : fallback;
}

double ConfigReader::positive(const std::string& key) const {
  const nlohmann::json& value = at(key);
  if (!value.is_number()) refuse(key, "a number above 0");
  const double number = value.get<double>();
  if (!std::isfinite(number) || number <= 0) refuse(key, "a number above 0");
  return number;
}

double ConfigReader::positive(const std::string& key, double fallback) const {
  return has(key) ? positive(key) : fallback;
}

bool ConfigReader::flag(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!json_.at(key).is_boolean()) refuse(key, "true or false");
  return json_.at(key).get<bool>();
}

std::string ConfigReader::text(const std::string& key) const {
  if (!at(key).is_string()) refuse(key, "a string");
  return json_.at(key).get<std::string>();
}

std::string ConfigReader::text(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

void ConfigReader::only(const std::vector<std::string>& keys) const {
  for (const auto& [key, value] : json_.items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    fail("{}: unknown key; got '{}'; expected {}{}", source_, place(key), any_of(keys), did_you_mean(key, keys));
  }
}

}  // namespace espalier
