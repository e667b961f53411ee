// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "espalier/testkit/checklist.hpp"
#include "tests/core/check/checked.hpp"

namespace {

namespace testkit = espalier::testkit;
using espalier::test::checked_fixture;

testkit::Report one(const char* property, bool holds, const std::string& options = "") {
  testkit::Checklist checks("made", options);
  checks.run(property, [&](testkit::Trial& trial) {
    trial.at("two rows");
    trial.expect(holds, "got 1; expected 2");
  });
  return checks.finish();
}

}  // namespace

TEST_CASE("a property that fails ends there, with its smallest case and the options in front") {
  const testkit::Report report = one("loss/rows", false, "k = 3");
  REQUIRE(report.finding("loss/rows") != nullptr);
  CHECK(report.finding("loss/rows")->what == "got 1; expected 2");
  CHECK(report.finding("loss/rows")->example == "k = 3; two rows");
  CHECK(report.finding("loss/rows")->read == "loss.hpp, LogitLoss");
}

TEST_CASE("of two reports on a component a property holds when it holds in both") {
  testkit::Report report = one("loss/rows", true);
  report.add(one("loss/rows", true));
  CHECK(report.pass("loss/rows")->cases == 2);
  report.add(one("loss/rows", false, "k = 3"));
  CHECK(report.pass("loss/rows") == nullptr);
  CHECK(report.finding("loss/rows")->example == "k = 3; two rows");
  report.add(one("loss/rows", true));
  CHECK(report.pass("loss/rows") == nullptr);
}

TEST_CASE("the text has a line for each property, then the findings") {
  CHECK(to_text(one("loss/rows", false)) ==
        "made\n"
        "  ok       component/exceptions          1 case\n"
        "  FAIL     loss/rows                     a row's loss does not depend on which rows come with it, or in which "
        "order\n"
        "\n"
        "  loss/rows: got 1; expected 2\n"
        "    smallest case: two rows\n"
        "    read: loss.hpp, LogitLoss\n");
}

TEST_CASE("the report as data says the same") {
  const nlohmann::json json = check_json(checked_fixture("broken_schedulers"));
  CHECK(json["plugin"]["name"] == "broken_schedulers");
  CHECK(json["passed"] == false);
  const nlohmann::json& negative = json["components"][1];
  CHECK(negative["name"] == "goes_negative");
  CHECK(negative["kind"] == "scheduler");
  CHECK(negative["findings"][0]["property"] == "scheduler/range");
  CHECK(negative["findings"][0]["example"] == "step 6 of 10");
  CHECK(negative["properties"][0] == nlohmann::json{{"property", "component/made"}, {"status", "ok"}, {"cases", 1}});
  CHECK(json["components"].back()["name"] == "sound");
  CHECK(json["components"].back()["passed"] == true);
}

TEST_CASE("one component alone, and one that the library does not have") {
  setenv("ESPALIER_PLUGIN_PATH", ESPALIER_BINARY_DIR "/plugins", 1);
  const std::string library = ESPALIER_FIXTURES "/plugins/libbroken_schedulers.so";
  const espalier::PluginCheck check = espalier::check_plugin(library, "sound");
  CHECK(check.components.size() == 1);
  CHECK(check.ok());
  CHECK_THROWS_WITH_AS(espalier::check_plugin(library, "sond"),
                       "plugins check: plugin broken_schedulers has no such component; got 'sond'; expected "
                       "'counts_calls', 'goes_negative', 'jumps', 'nan_in_one_step' or 'sound'; did you mean 'sound'?",
                       espalier::RecipeError);
}
