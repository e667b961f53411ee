// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/text.hpp"

#include "core/base/error.hpp"
#include "core/base/strings.hpp"

namespace espalier {
namespace {

constexpr std::size_t kLongestName = 200;

}  // namespace

std::string in_quotes(std::string_view name) {
  std::string text = "'";
  for (const char c : name.substr(0, kLongestName)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text + (name.size() > kLongestName ? "…'" : "'");
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> parts;
  for (const std::int64_t extent : shape) parts.push_back(std::to_string(extent));
  return "[" + join(parts, ", ") + "]";
}

}  // namespace espalier
