// SPDX-License-Identifier: Apache-2.0
#include "core/data/documents.hpp"

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {

namespace {

constexpr const char* kExpected = R"(expected "text", or "prompt" with "completion", or "input" with "output")";

const std::string& string_of(const nlohmann::json& object, const char* key, const std::string& place) {
  const auto found = object.find(key);
  if (found == object.end()) fail("{}: \"{}\" is missing; {}", place, key, kExpected);
  if (!found->is_string()) fail("{}: \"{}\" is not a string; got {}", place, key, found->type_name());
  return found->get_ref<const std::string&>();
}

}  // namespace

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\n") == std::string_view::npos; }

nlohmann::json parse_json_object(std::string_view line, const std::string& place, const std::string& expected) {
  nlohmann::json object;
  try {
    object = nlohmann::json::parse(line);
  } catch (const nlohmann::json::parse_error& error) {
    // The library's text begins with its own name and position; the position here is that of the line in its file.
    const std::string_view what = error.what();
    const std::size_t column = what.find("column ");
    const std::size_t reason = column == std::string_view::npos ? column : what.find(": ", column);
    fail("{}:{}: not valid JSON; got {}", place, error.byte,
         reason == std::string_view::npos ? what : what.substr(reason + 2));
  }
  if (!object.is_object()) fail("{}: not a JSON object; got {}; {}", place, object.type_name(), expected);
  return object;
}

std::optional<Document> parse_jsonl(std::string_view line, const std::string& place) {
  if (is_blank(line)) return std::nullopt;
  const nlohmann::json object = parse_json_object(line, place, kExpected);
  if (object.contains("text")) return Document{string_of(object, "text", place), -1};
  for (const auto& [before, after] : {std::pair("prompt", "completion"), std::pair("input", "output")}) {
    if (!object.contains(before) && !object.contains(after)) continue;
    const std::string& prompt = string_of(object, before, place);
    const std::string& answer = string_of(object, after, place);
    return Document{prompt + answer, static_cast<std::int64_t>(prompt.size())};
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  fail("{}: no text; got {}; {}", place, keys.empty() ? "no keys" : "the keys " + join(keys, ", "), kExpected);
}

}  // namespace espalier
