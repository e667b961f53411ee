// SPDX-License-Identifier: Apache-2.0
// Making components as the host would: from options, checked first.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "espalier/sdk/plugin.hpp"
#include "espalier/testkit/checklist.hpp"

namespace espalier::testkit {

// Options in memory; what is reported about them is kept.
class Options final : public OptionSource {
 public:
  using Values = std::map<std::string, Value, std::less<>>;
  explicit Options(Values values = {}) : values_(std::move(values)) {}
  const Value* find(std::string_view key) const override {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
  }
  void problem(std::string_view key, const std::string& what, const std::string& got,
               const std::string& expected) override {
    keys.emplace_back(key);
    texts.push_back(concat(what, "; got ", got, "; expected ", expected));
  }
  std::vector<std::string> keys, texts;  // of the problems, in their order

 private:
  Values values_;
};

class QuietHost final : public Host {
 public:
  std::uint64_t seed() const override { return 1; }
  void info(const std::string&) const override {}
  void warn(const std::string&) const override {}
};

// Gives fresh instances, all made alike.
template <class Interface>
using Make = std::function<std::unique_ptr<Interface>()>;

// The factory outlives the result.
template <class Interface>
Make<Interface> maker(const Factory<Interface>& factory, const Options::Values& values = {}) {
  static const QuietHost host;
  return [&factory, values] {
    Options source(values);
    return factory.create(source, host);
  };
}

namespace detail {

struct BadValue {
  Value value;
  const char* why;
};

inline void add_beyond_limits(const FieldInfo& field, std::vector<BadValue>& bad) {
  const auto number = [&](double value, const char* why) {
    if (field.type.find("integer") != std::string::npos) {
      bad.push_back({{static_cast<std::int64_t>(value)}, why});
    } else {
      bad.push_back({{value}, why});
    }
  };
  const Limits& limits = field.limits;
  if (limits.minimum) number(*limits.minimum - (limits.minimum_excluded ? 0.0 : 1.0), "below the minimum");
  if (limits.maximum) number(*limits.maximum + 1.0, "above the maximum");
  if (!limits.choices.empty()) bad.push_back({{std::string("no such choice")}, "none of the choices"});
  if (field.type.find("real") != std::string::npos) {
    bad.push_back({{std::numeric_limits<double>::quiet_NaN()}, "not a number"});
    bad.push_back({{std::numeric_limits<double>::infinity()}, "infinite"});
  }
}

// Values that a field must refuse: of another type, and beyond its limits.
inline std::vector<BadValue> bad_values(const FieldInfo& field) {
  const bool list = field.type.starts_with("list");
  std::vector<BadValue> bad;
  add_beyond_limits(field, bad);
  const bool text = field.type.find("string") != std::string::npos;
  bad.push_back({text ? Value{std::int64_t{3}} : Value{std::string("three")}, "the wrong type"});
  if (list) {
    for (BadValue& one : bad) one.value = {ValueList{one.value}};
    bad.push_back({{true}, "no list"});
  } else {
    bad.push_back({{ValueList{}}, "a list"});
  }
  return bad;
}

// Numbers to try beside a field's default, within its limits: half and double of a real (a half, when it is 0), and
// another whole number, but for schedulers: there those are lengths, and a short one jumps as it should.
template <class Interface>
std::vector<Value> other_numbers(const FieldInfo& field) {
  std::vector<Value> others;
  const auto offer = [&](auto number) {
    if (espalier::detail::within(number, field.limits)) others.push_back({number});
  };
  if (const auto* real = std::get_if<double>(&field.fallback.data); real && field.type == "real") {
    offer(*real != 0.0 ? *real * 0.5 : 0.5);
    offer(*real * 2.0);
  }
  if constexpr (!std::is_same_v<Interface, Scheduler>) {
    if (const auto* whole = std::get_if<std::int64_t>(&field.fallback.data); whole && field.type == "integer")
      offer(std::int64_t{*whole == 0 ? 2 : *whole < 100 ? *whole + 1 : *whole / 2});
  }
  return others;
}

}  // namespace detail

// Flags that a component wants set before it does anything: those that are false by default and that it reports a
// problem with. Empty when the defaults are enough, or when flags do not help.
template <class Interface>
Options::Values opt_ins(const Factory<Interface>& factory) {
  Options defaults;
  factory.check(defaults);
  Options::Values flags;
  for (const FieldInfo& field : factory.fields()) {
    const bool off = field.type == "bool" && to_text(field.fallback) == "false";
    const bool reported = std::find(defaults.keys.begin(), defaults.keys.end(), field.name) != defaults.keys.end();
    if (off && reported) flags[field.name] = {true};
  }
  Options with_flags(flags);
  factory.check(with_flags);
  return with_flags.texts.empty() ? flags : Options::Values();
}

// The properties that all kinds share, except component/exceptions, which is looked at on the way.
template <class Interface>
void check_options(Checklist& checks, const Factory<Interface>& factory) {
  checks.run("component/made", [&](Trial& trial) {
    trial.at("the defaults");
    const Options::Values flags = opt_ins(factory);
    Options source(flags);
    factory.check(source);
    trial.expect(source.texts.empty(), concat("got a problem: ", source.texts.empty() ? "" : source.texts.front(),
                                              "; expected defaults that the component itself accepts"));
    trial.expect(maker(factory, flags)() != nullptr, "got no instance; expected one");
  });
  checks.run("component/options", [&](Trial& trial) {
    for (const FieldInfo& field : factory.fields()) {
      for (const detail::BadValue& bad : detail::bad_values(field)) {
        trial.at(concat(field.name, " = ", to_text(bad.value), ", which is ", bad.why));
        Options source({{field.name, bad.value}});
        factory.check(source);
        const bool reported = std::find(source.keys.begin(), source.keys.end(), field.name) != source.keys.end();
        trial.expect(reported, concat("got no problem with '", field.name, "'; expected ",
                                      expectation(field.type, field.limits)));
      }
    }
    trial.skip("no options");
  });
}

// The options that a component is checked with: the defaults (with its opt-ins), then each choice, each flag and a few
// numbers in turn.
struct Variant {
  std::string text;  // "seq = "l2"", or nothing for the defaults
  Options::Values values;
};

template <class Interface>
std::vector<Variant> variants(const Factory<Interface>& factory) {
  const std::vector<FieldInfo> fields = factory.fields();
  const Options::Values flags = opt_ins(factory);
  std::vector<Variant> all = {{"", flags}};
  const auto add = [&](const FieldInfo& field, Value value) {
    if (to_text(value) == to_text(field.fallback) || flags.contains(field.name)) return;
    Options::Values values = flags;
    values[field.name] = value;
    all.push_back({concat(field.name, " = ", to_text(value)), values});
  };
  for (const FieldInfo& field : fields) {
    if (field.type == "bool") {
      add(field, {true});
      add(field, {false});
    }
    for (Value& value : detail::other_numbers<Interface>(field)) add(field, std::move(value));
    if (field.type != "string") continue;
    for (const std::string& choice : field.limits.choices) add(field, {choice});
  }
  return all;
}

// Everything about a component: its options, then check(name, make, options) with each variant that it accepts.
template <class Interface, class Check>
Report check_variants(const std::string& name, const Factory<Interface>& factory, Check&& check) {
  Checklist checks(name);
  check_options(checks, factory);
  Report report = checks.finish();
  if (report.finding("component/made")) return report;
  for (const Variant& variant : variants(factory)) {
    Options source(variant.values);
    factory.check(source);
    if (source.texts.empty()) report.add(check(name, maker(factory, variant.values), variant.text));
  }
  return report;
}

}  // namespace espalier::testkit
