// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/options.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

using espalier::Value;

namespace {

struct DemoOptions {
  double temperature;
  std::int64_t top;
  std::string tail;
  bool squared;
  std::vector<double> weights;

  template <class V>
  void fields(V& v) {
    v("temperature", temperature, 1.0, espalier::above(0.0), "softens both distributions");
    v("top", top, 4, espalier::between(0, 8), "kept per token");
    v("tail", tail, "bucket", espalier::one_of({"zero", "bucket"}), "what stands for the rest");
    v("squared", squared, true, espalier::any(), "multiplies by its square");
    v("weights", weights, std::vector<double>{}, espalier::at_least(0), "one for each layer");
  }

  void validate(espalier::OptionSource& source) const {
    if (tail == "zero" && top == 0) source.problem("top", "top and tail disagree", "0", "at least 1");
  }
};

class Fake final : public espalier::OptionSource {
 public:
  std::map<std::string, Value, std::less<>> given;
  std::vector<std::string> problems;

  const Value* find(std::string_view key) const override {
    const auto found = given.find(key);
    return found == given.end() ? nullptr : &found->second;
  }
  void problem(std::string_view key, const std::string& what, const std::string& got,
               const std::string& expected) override {
    problems.push_back(std::string(key) + ": " + what + "; got " + got + "; expected " + expected);
  }
};

Value whole(std::int64_t number) { return {number}; }
Value text(const char* string) { return {std::string(string)}; }

}  // namespace

TEST_CASE("absent keys take their defaults") {
  Fake source;
  const auto options = espalier::parse_options<DemoOptions>(source);
  CHECK(source.problems.empty());
  CHECK(options.temperature == 1.0);
  CHECK(options.top == 4);
  CHECK(options.tail == "bucket");
  CHECK(options.squared);
  CHECK(options.weights.empty());
}

TEST_CASE("given keys are taken, and an integer may stand for a real, in lists too") {
  Fake source;
  source.given = {{"temperature", whole(2)},
                  {"top", whole(8)},
                  {"tail", text("zero")},
                  {"squared", {false}},
                  {"weights", {espalier::ValueList{whole(1), {0.5}}}}};
  const auto options = espalier::parse_options<DemoOptions>(source);
  CHECK(source.problems.empty());
  CHECK(options.temperature == 2.0);
  CHECK(options.top == 8);
  CHECK(options.tail == "zero");
  CHECK_FALSE(options.squared);
  CHECK(options.weights == std::vector<double>{1.0, 0.5});
}

TEST_CASE("every problem is reported, with what was got and what was expected") {
  Fake source;
  source.given = {{"temperature", {0.0}},
                  {"top", {3.5}},
                  {"tail", text("uniform")},
                  {"squared", whole(1)},
                  {"weights", {espalier::ValueList{{-1.0}}}}};
  const auto options = espalier::parse_options<DemoOptions>(source);
  CHECK(source.problems ==
        std::vector<std::string>{
            "temperature: temperature is out of range; got 0.0; expected a real above 0",
            "top: top has the wrong type; got 3.5; expected an integer from 0 to 8",
            "tail: tail is not a known choice; got \"uniform\"; expected \"zero\" or \"bucket\"",
            "squared: squared has the wrong type; got 1; expected a bool",
            "weights: weights is out of range; got [-1.0]; expected a list of reals, each of at least 0",
        });
  CHECK(options.temperature == 1.0);  // what is refused keeps its default
}

TEST_CASE("a number that is not a number is out of every range") {
  Fake source;
  source.given = {{"temperature", {std::nan("")}}};
  espalier::parse_options<DemoOptions>(source);
  CHECK(source.problems.size() == 1);
}

TEST_CASE("rules between fields are checked last") {
  Fake source;
  source.given = {{"top", whole(0)}, {"tail", text("zero")}};
  espalier::parse_options<DemoOptions>(source);
  CHECK(source.problems == std::vector<std::string>{"top: top and tail disagree; got 0; expected at least 1"});
}

TEST_CASE("the field list is the reference table") {
  const auto fields = espalier::option_fields<DemoOptions>();
  REQUIRE(fields.size() == 5);
  CHECK(fields[0].name == "temperature");
  CHECK(fields[0].type == "real");
  CHECK(espalier::to_text(fields[0].fallback) == "1.0");
  CHECK(fields[0].doc == "softens both distributions");
  CHECK(fields[4].type == "list of real");
  CHECK(espalier::to_text(fields[4].fallback) == "[]");
  CHECK(espalier::option_fields<espalier::NoOptions>().empty());
}

TEST_CASE("values are printed as TOML reads them") {
  CHECK(espalier::to_text({true}) == "true");
  CHECK(espalier::to_text({std::int64_t{-3}}) == "-3");
  CHECK(espalier::to_text({2.0}) == "2.0");
  CHECK(espalier::to_text({0.1}) == "0.1");
  CHECK(espalier::to_text({4.5e-7}) == "4.5e-07");
  CHECK(espalier::to_text({1.0 / 3.0}) == "0.3333333333333333");
  CHECK(espalier::to_text(text("a\"b\\c\nd\te")) == R"("a\"b\\c\nd\te")");
  CHECK(espalier::to_text({espalier::ValueList{whole(1), text("x")}}) == "[1, \"x\"]");
}

TEST_CASE("expectations read as sentences") {
  CHECK(espalier::expectation("integer", espalier::at_least(1)) == "an integer of at least 1");
  CHECK(espalier::expectation("real", espalier::between(0, 0.5)) == "a real from 0 to 0.5");
  CHECK(espalier::expectation("string", espalier::one_of({"a", "b", "c"})) == "\"a\", \"b\" or \"c\"");
  CHECK(espalier::expectation("bool", espalier::any()) == "a bool");
}
