// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace espalier {

struct Document {
  std::string text;
  std::int64_t prompt_bytes = -1;  // the loss is on what comes after them; -1: on everything
};

// One line of JSONL: {"text"}, {"prompt", "completion"} or {"input", "output"}; other keys are not looked at. Nothing
// for a blank line. `place` is "file:line", for errors.
std::optional<Document> parse_jsonl(std::string_view line, const std::string& place);

// One line of any JSONL that has an object a line. Throws Error at `place`; `expected` ends the message about a line
// that is something else.
nlohmann::json parse_json_object(std::string_view line, const std::string& place, const std::string& expected);
bool is_blank(std::string_view line);

}  // namespace espalier
