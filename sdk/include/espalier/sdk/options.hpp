// SPDX-License-Identifier: Apache-2.0
// Options of a component: one struct, one field list. Parsing, defaults, range checks, `plugins show`, the resolved
// recipe and the reference all come from that list.
//
//   struct KlOptions {
//     double temperature;
//     template <class V> void fields(V& v) {
//       v("temperature", temperature, 1.0, above(0.0), "softens both distributions");
//     }
//   };
//
// A field is a bool, std::int64_t, double, std::string or a std::vector of the latter three. An integer in the recipe
// may stand for a real; nothing else converts.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "espalier/sdk/error.hpp"

namespace espalier {
inline namespace abi_2 {

struct Value;
using ValueList = std::vector<Value>;

// One value of a recipe.
struct ESPALIER_SDK_VISIBLE Value {
  std::variant<bool, std::int64_t, double, std::string, ValueList> data;
};

// What a field accepts beyond its type. Empty members do not constrain.
struct Limits {
  std::optional<double> minimum;
  std::optional<double> maximum;
  bool minimum_excluded = false;
  std::vector<std::string> choices;
};

inline Limits any() { return {}; }
inline Limits at_least(double minimum) {
  return {.minimum = minimum, .maximum = {}, .minimum_excluded = false, .choices = {}};
}
inline Limits above(double minimum) {
  return {.minimum = minimum, .maximum = {}, .minimum_excluded = true, .choices = {}};
}
inline Limits between(double minimum, double maximum) {
  return {.minimum = minimum, .maximum = maximum, .minimum_excluded = false, .choices = {}};
}
inline Limits one_of(std::vector<std::string> choices) {
  return {.minimum = {}, .maximum = {}, .minimum_excluded = false, .choices = std::move(choices)};
}

// One row of a component's option table, as the host prints it.
struct FieldInfo {
  std::string name;
  std::string type;  // "bool", "integer", "real", "string" or "list of …"
  Value fallback;    // the value of an absent key
  Limits limits;
  std::string doc;
};

// One component block of a recipe as its component sees it. Implemented by the host; valid during the call only.
class ESPALIER_SDK_VISIBLE OptionSource {
 public:
  OptionSource() = default;
  OptionSource(const OptionSource&) = delete;
  OptionSource& operator=(const OptionSource&) = delete;
  virtual ~OptionSource() = default;

  // The value of `key`, or nullptr when the recipe does not give it.
  virtual const Value* find(std::string_view key) const = 0;

  // Reports a problem at the key's place in the recipe ("" means the block itself). The host collects all of them and
  // prints them together; parsing goes on. `what` starts with the key ("k exceeds the vocabulary"), and the host puts
  // the component's name behind that word. `got` and `expected` may be empty.
  virtual void problem(std::string_view key, const std::string& what, const std::string& got,
                       const std::string& expected) = 0;
};

}  // namespace abi_2

// How a value looks in TOML: strings quoted, reals with a point or an exponent.
std::string to_text(const Value& value);

// "a real above 0", "one of "zero", "bucket"", as error messages and reference tables say it.
std::string expectation(const std::string& type, const Limits& limits);

namespace detail {

template <class T>
struct FieldType {
  static_assert(sizeof(T) == 0,
                "an option is a bool, std::int64_t, double, std::string, or a std::vector of the last three");
};

// The shortest form of at least six digits that reads back as the same number, in any locale.
inline std::string real_text(double value) {
  char buffer[40];
  for (int digits = 6;; ++digits) {
    const char* end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, digits).ptr;
    double back = 0.0;
    std::from_chars(buffer, end, back);
    if (digits < 17 && back != value && value == value) continue;
    const std::string text(static_cast<const char*>(buffer), end);
    return text.find_first_of(".einf") == std::string::npos ? text + ".0" : text;
  }
}

template <>
struct FieldType<bool> {
  static constexpr const char* name = "bool";
  static std::optional<bool> from(const Value& value) {
    const auto* flag = std::get_if<bool>(&value.data);
    return flag ? std::optional(*flag) : std::nullopt;
  }
};
template <>
struct FieldType<std::int64_t> {
  static constexpr const char* name = "integer";
  static std::optional<std::int64_t> from(const Value& value) {
    const auto* number = std::get_if<std::int64_t>(&value.data);
    return number ? std::optional(*number) : std::nullopt;
  }
};
template <>
struct FieldType<double> {
  static constexpr const char* name = "real";
  static std::optional<double> from(const Value& value) {
    if (const auto* whole = std::get_if<std::int64_t>(&value.data)) return static_cast<double>(*whole);
    const auto* number = std::get_if<double>(&value.data);
    return number ? std::optional(*number) : std::nullopt;
  }
};
template <>
struct FieldType<std::string> {
  static constexpr const char* name = "string";
  static std::optional<std::string> from(const Value& value) {
    const auto* text = std::get_if<std::string>(&value.data);
    return text ? std::optional(*text) : std::nullopt;
  }
};
template <class T>
struct FieldType<std::vector<T>> {
  static inline const std::string name = std::string("list of ") + FieldType<T>::name;
  static std::optional<std::vector<T>> from(const Value& value) {
    const auto* list = std::get_if<ValueList>(&value.data);
    if (!list) return std::nullopt;
    std::vector<T> result;
    for (const Value& element : *list) {
      auto converted = FieldType<T>::from(element);
      if (!converted) return std::nullopt;
      result.push_back(*converted);
    }
    return result;
  }
};

inline Value to_value(const char* text) { return {std::string(text)}; }
template <class T>
Value to_value(const T& value) {
  return {value};
}
template <class T>
Value to_value(const std::vector<T>& values) {
  ValueList list;
  for (const T& value : values) list.push_back(to_value(value));
  return {list};
}

inline bool within(double number, const Limits& limits) {
  if (!std::isfinite(number)) return false;
  if (limits.minimum && (limits.minimum_excluded ? !(number > *limits.minimum) : !(number >= *limits.minimum)))
    return false;
  return !limits.maximum || number <= *limits.maximum;
}
inline bool within(bool, const Limits&) { return true; }
inline bool within(std::int64_t number, const Limits& limits) { return within(static_cast<double>(number), limits); }
inline bool within(const std::string& text, const Limits& limits) {
  if (limits.choices.empty()) return true;
  for (const std::string& choice : limits.choices) {
    if (choice == text) return true;
  }
  return false;
}
template <class T>
bool within(const std::vector<T>& values, const Limits& limits) {
  for (const T& value : values) {
    if (!within(value, limits)) return false;
  }
  return true;
}

struct FieldLister {
  std::vector<FieldInfo> list;
  template <class T, class D>
  void operator()(const char* name, T&, const D& fallback, const Limits& limits, const char* doc) {
    list.push_back({name, FieldType<T>::name, to_value(T(fallback)), limits, doc});
  }
};

struct FieldParser {
  OptionSource& source;
  template <class T, class D>
  void operator()(const char* name, T& field, const D& fallback, const Limits& limits, const char*) {
    field = T(fallback);
    const Value* value = source.find(name);
    if (!value) return;
    const std::optional<T> parsed = FieldType<T>::from(*value);
    if (parsed && within(*parsed, limits)) {
      field = *parsed;
      return;
    }
    const char* what = !parsed                  ? " has the wrong type"
                       : limits.choices.empty() ? " is out of range"
                                                : " is not a known choice";
    source.problem(name, concat(name, what), to_text(*value), expectation(FieldType<T>::name, limits));
  }
};

}  // namespace detail

// Every field of an options struct, in the order of its list.
template <class Options>
std::vector<FieldInfo> option_fields() {
  detail::FieldLister lister;
  Options options{};
  options.fields(lister);
  return std::move(lister.list);
}

// Reads an options struct; problems go to `source`, and the field keeps its default. An options struct with rules
// between fields has `void validate(OptionSource&) const`, called last.
template <class Options>
Options parse_options(OptionSource& source) {
  Options options{};
  detail::FieldParser parser{source};
  options.fields(parser);
  if constexpr (requires { options.validate(source); }) options.validate(source);
  return options;
}

// For components without options.
struct NoOptions {
  template <class V>
  void fields(V&) {}
};

inline std::string to_text(const Value& value) {
  struct Printer {
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return detail::real_text(number); }
    std::string operator()(const std::string& text) const {
      std::string quoted = "\"";
      for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') quoted += '\\';
        if (c == '\n') {
          quoted += "\\n";
        } else if (c == '\t') {
          quoted += "\\t";
        } else if (code < 0x20 || code == 0x7f) {
          constexpr const char* kDigits = "0123456789ABCDEF";
          quoted += std::string("\\u00") + kDigits[code / 16] + kDigits[code % 16];
        } else {
          quoted += c;
        }
      }
      return quoted + "\"";
    }
    std::string operator()(const ValueList& list) const {
      std::string text = "[";
      for (const Value& element : list) text += (text.size() > 1 ? ", " : "") + to_text(element);
      return text + "]";
    }
  };
  return std::visit(Printer{}, value.data);
}

inline std::string expectation(const std::string& type, const Limits& limits) {
  const bool list = type.rfind("list", 0) == 0;
  if (!limits.choices.empty()) {
    std::string text = list ? "a list of " : "";
    for (std::size_t i = 0; i < limits.choices.size(); ++i) {
      text += (i == 0 ? "" : i + 1 == limits.choices.size() ? " or " : ", ") + to_text(Value{limits.choices[i]});
    }
    return text;
  }
  std::string text = (type == "integer" ? "an " : "a ") + type + (list ? "s" : "");
  const auto number = [&](double bound) {
    const std::string printed = detail::real_text(bound);
    return printed.size() > 2 && printed.ends_with(".0") ? printed.substr(0, printed.size() - 2) : printed;
  };
  if (!limits.minimum && !limits.maximum) return text;
  if (list) text += ", each";
  if (!limits.minimum) return text + " of at most " + number(*limits.maximum);
  if (limits.minimum_excluded) {
    text += " above " + number(*limits.minimum);
    return limits.maximum ? text + " and at most " + number(*limits.maximum) : text;
  }
  if (!limits.maximum) return text + " of at least " + number(*limits.minimum);
  return text + " from " + number(*limits.minimum) + " to " + number(*limits.maximum);
}

}  // namespace espalier
