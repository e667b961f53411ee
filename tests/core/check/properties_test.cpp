// SPDX-License-Identifier: Apache-2.0
// The table of properties, the page that shows it, and the places that it sends the author to.
#include <doctest/doctest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "core/base/files.hpp"
#include "tests/core/check/checked.hpp"

namespace {

namespace testkit = espalier::testkit;
using espalier::read_text;

// `id` → sentence, from the rows "| `id` | sentence |".
std::map<std::string, std::string> rows_of_the_page() {
  std::istringstream page(read_text(ESPALIER_SOURCE_DIR "/sdk/testkit/README.md"));
  std::map<std::string, std::string> rows;
  const std::regex row("\\| `([a-z_]+/[a-z-]+)` \\| (.*) \\|");
  std::smatch match;
  for (std::string line; std::getline(page, line);) {
    if (std::regex_match(line, match, row)) rows[match[1]] = match[2];
  }
  return rows;
}

std::set<std::string> seen_in(const espalier::PluginCheck& check) {
  std::set<std::string> seen;
  for (const espalier::ComponentCheck& component : check.components) {
    for (const auto& one : component.report.passed) seen.insert(one.property);
    for (const auto& one : component.report.findings) seen.insert(one.property);
    for (const auto& one : component.report.skipped) seen.insert(one.property);
  }
  return seen;
}

}  // namespace

TEST_CASE("the page of the kit lists every property of the code, with its sentence") {
  const std::map<std::string, std::string> rows = rows_of_the_page();
  for (const testkit::Property& property : testkit::kProperties) {
    INFO(std::string(property.id));
    REQUIRE(rows.contains(property.id));
    CHECK(rows.at(property.id) == property.demands);
  }
  CHECK(rows.size() == std::size(testkit::kProperties));
}

TEST_CASE("every property is looked at, and none that the table lacks") {
  std::set<std::string> seen;
  for (const char* library : {"broken_metrics", "broken_axes", "broken_losses", "broken_schedulers"}) {
    seen.merge(seen_in(espalier::test::checked_fixture(library)));
  }
  std::set<std::string> expected;
  for (const testkit::Property& property : testkit::kProperties) expected.insert(property.id);
  CHECK(seen == expected);
}

TEST_CASE("what to read exists: the header, what it names, and the section of the SDK's page") {
  const std::string page = read_text(ESPALIER_SOURCE_DIR "/sdk/README.md");
  const std::regex place(
      "([a-z_]+\\.hpp), ([A-Za-z]+|parse_options)(::([a-z_]+))?(; README of the SDK, The kinds: (.*))?");
  for (const testkit::Property& property : testkit::kProperties) {
    std::smatch match;
    const std::string read = property.read;
    INFO(std::string(property.id), ": ", read);
    if (read.starts_with("README of the SDK")) {
      CHECK(page.find("**" + read.substr(read.rfind(' ') + 1) + ".**") != std::string::npos);
      continue;
    }
    REQUIRE(std::regex_match(read, match, place));
    const std::string header = read_text(ESPALIER_SOURCE_DIR "/sdk/include/espalier/sdk/" + match[1].str());
    CHECK(header.find(match[2].str()) != std::string::npos);
    if (match[4].matched) CHECK(header.find(match[4].str() + "(") != std::string::npos);
    if (match[6].matched) CHECK(page.find("**" + match[6].str() + ".**") != std::string::npos);
  }
}
