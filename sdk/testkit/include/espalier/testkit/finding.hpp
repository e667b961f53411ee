// SPDX-License-Identifier: Apache-2.0
// What a check has to say of a component.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "espalier/testkit/properties.hpp"

namespace espalier::testkit {

// A property that does not hold.
struct Finding {
  std::string property;
  std::string what;     // what was got and what was expected
  std::string example;  // the smallest case that shows it: shapes, batch sizes, seed
  std::string read;     // header and section
};

struct Passed {
  std::string property;
  std::int64_t cases = 0;
  std::string note;  // what was seen besides, or nothing
};

struct Skipped {
  std::string property;
  std::string reason;
};

struct Report {
  std::string component;
  std::vector<Passed> passed;
  std::vector<Finding> findings;
  std::vector<Skipped> skipped;

  bool ok() const { return findings.empty(); }

  const Finding* finding(std::string_view property) const { return find(findings, property); }
  const Passed* pass(std::string_view property) const { return find(passed, property); }
  const Skipped* skip(std::string_view property) const { return find(skipped, property); }

  // Takes in another report on the same component, as with other options: a property holds when it holds in both.
  void add(const Report& other) {
    for (const Finding& one : other.findings) {
      if (!finding(one.property)) findings.push_back(one);
    }
    for (const Passed& one : other.passed) {
      const auto known =
          std::find_if(passed.begin(), passed.end(), [&](const Passed& mine) { return mine.property == one.property; });
      if (known == passed.end()) {
        passed.push_back(one);
      } else {
        known->cases += one.cases;
      }
    }
    for (const Skipped& one : other.skipped) {
      if (!skip(one.property)) skipped.push_back(one);
    }
    std::erase_if(passed, [&](const Passed& one) { return finding(one.property) != nullptr; });
    std::erase_if(skipped, [&](const Skipped& one) { return finding(one.property) || pass(one.property); });
  }

 private:
  template <class Item>
  static const Item* find(const std::vector<Item>& items, std::string_view property) {
    for (const Item& item : items) {
      if (item.property == property) return &item;
    }
    return nullptr;
  }
};

// One line for each property, then the findings: for people.
inline std::string to_text(const Report& report) {
  std::string text = report.component + "\n";
  const auto line = [&](const char* verdict, const char* id, const std::string& rest) {
    std::string padded = id;
    padded.resize(std::max<std::size_t>(padded.size(), 28), ' ');
    text += concat("  ", verdict, padded, rest.empty() ? "" : "  ", rest, "\n");
  };
  for (const Property& property : kProperties) {
    if (report.finding(property.id)) {
      line("FAIL     ", property.id, property.demands);
    } else if (const Passed* passed = report.pass(property.id)) {
      line("ok       ", property.id,
           concat(passed->cases, passed->cases == 1 ? " case" : " cases", passed->note.empty() ? "" : "; ",
                  passed->note));
    } else if (const Skipped* skipped = report.skip(property.id)) {
      line("skipped  ", property.id, skipped->reason);
    }
  }
  for (const Finding& finding : report.findings) {
    text += concat("\n  ", finding.property, ": ", finding.what, "\n    smallest case: ", finding.example,
                   "\n    read: ", finding.read, "\n");
  }
  return text;
}

}  // namespace espalier::testkit
