// SPDX-License-Identifier: Apache-2.0
#include "core/scaffold/plugin_name.hpp"

#include <algorithm>
#include <string_view>

#include "core/base/error.hpp"

namespace espalier {
namespace {

// What a name cannot be although it is made of the right letters: words of C++, and targets that CMake keeps.
constexpr std::string_view kReserved =
    " "
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t "
    "class compl concept const consteval constexpr constinit const_cast continue co_await co_return co_yield "
    "decltype default delete do double dynamic_cast else enum explicit export extern false float for friend "
    "goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private "
    "protected public register reinterpret_cast requires return short signed sizeof static static_assert "
    "static_cast struct switch template this thread_local throw true try typedef typeid typename union "
    "unsigned using virtual void volatile wchar_t while xor xor_eq all clean edit_cache help install package "
    "package_source preinstall rebuild_cache test ";

bool is_reserved(const std::string& name) { return kReserved.find(" " + name + " ") != std::string_view::npos; }

std::string lower_case(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z', plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (upper && !result.empty() && result.back() != '_') result += '_';
    if (upper || plain) {
      result += upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!result.empty() && result.back() != '_') {
      result += '_';
    }
  }
  while (!result.empty() && !(result.front() >= 'a' && result.front() <= 'z')) result.erase(0, 1);
  while (!result.empty() && result.back() == '_') result.pop_back();
  return result;
}

}  // namespace

void check_plugin_name(const std::string& name) {
  constexpr std::size_t kLongest = 64;
  const bool letters = std::all_of(name.begin(), name.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (!letters || name.empty() || name[0] < 'a' || name.size() > kLongest) {
    const std::string better = lower_case(name).substr(0, kLongest);
    reject(
        "espalier plugins new: not a name for a plugin; got '{}'; expected lower case letters, digits and "
        "underscores, at most {}, a letter first: '{}'",
        name, kLongest, better.empty() ? "my_metric" : better);
  }
  if (is_reserved(name)) {
    reject("espalier plugins new: not a name for a plugin; got '{}', a word of C++ or CMake; expected another: 'my_{}'",
           name, name);
  }
}

std::string class_name(const std::string& name) {
  std::string result;
  bool upper = true;
  for (const char c : name) {
    if (c != '_') result += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = c == '_';
  }
  return result;
}

}  // namespace espalier
