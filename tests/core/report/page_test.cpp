// SPDX-License-Identifier: Apache-2.0
// What the page holds without a browser; tests/page looks at it in one.
#include "core/report/page.hpp"

#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/report/page_data.hpp"
#include "core/report/page_html.hpp"

using espalier::page_data;
using espalier::report_page;
using nlohmann::json;

namespace {

json verdict(const char* outcome) {
  return {{"a", "width"},
          {"b", "depth & co"},
          {"moment", "after"},
          {"difference", -0.0665},
          {"low", -0.071},
          {"high", -0.062},
          {"outcome", outcome},
          {"comparisons", 1},
          {"seeds", 3},
          {"documents", 412},
          {"teachers", 1},
          {"seeds_needed", 9},
          {"documents_needed", nullptr},
          {"scope", "documents and seeds"},
          {"text", "width is better than depth & co by 0.0665 nats per token"}};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("an empty comparison is a page that says what is missing") {
  const std::string page = report_page({{"schema", 1}});
  CHECK(contains(page, "<title>Comparison · Espalier</title>"));
  CHECK(contains(page, "No verdicts: they need two arms with losses by document."));
  CHECK(contains(page, "No training curves: no run has a log of its training."));
  CHECK(contains(page, "No scores: no arm was pruned by a metric."));
  CHECK_FALSE(contains(page, "{{"));
  CHECK_FALSE(contains(page, "id=\"failed\""));
}

TEST_CASE("another schema is refused") {
  CHECK_THROWS_WITH_AS(report_page({{"schema", 2}}), "report.html: a comparison of another schema; got 2; expected 1",
                       espalier::Error);
  CHECK_THROWS_WITH_AS(report_page(json::array()), "report.html: a comparison of another schema; got null; expected 1",
                       espalier::Error);
}

TEST_CASE("verdicts are words before any script runs, and no text can leave its place") {
  const std::string page = report_page({{"schema", 1},
                                        {"title", "a </script> & {{body}}"},
                                        {"verdicts", {verdict("better")}},
                                        {"failed", {{{"run", "r1"}, {"error", "disk <full>"}}}}});
  CHECK(contains(page, "<h1>a &lt;/script&gt; &amp; {{body}}</h1>"));
  CHECK(contains(page, "width is better than depth &amp; co by 0.0665 nats per token"));
  CHECK(contains(page, "<span aria-hidden=\"true\">▲</span> better"));
  CHECK(contains(page, "−0.0665"));
  CHECK(contains(page, "To decide a difference of this size: about 9 seeds."));
  CHECK(contains(page, "disk &lt;full&gt;"));
  CHECK(contains(page, "a \\u003c/script> & {{body}}"));              // in the data
  CHECK(page.find("</script>") == page.find("</script>\n<script>"));  // the first is ours
}

TEST_CASE("maps travel as symbols that stand for their range, wide ones in wider bins") {
  json layers = json::array({json::array()}), kept = layers;
  for (int i = 0; i < 256; ++i) layers[0].push_back(i), kept[0].push_back(i >= 128 ? 1 : 0);
  const json data = page_data({{"scores",
                                {{{"axis", "hidden"}, {"bin", 2}, {"layers", layers}, {"kept", kept}},
                                 {{"axis", "layers"}, {"layers", {{3.0, nullptr, 1.0}}}, {"kept", {{1, 1, 0}}}}}}},
                              1'000'000);
  const json& wide = data["scores"][0];
  CHECK(wide["bin"] == 4.0);
  const std::string row = wide["layers"][0];
  REQUIRE(row.size() == 128);
  CHECK(row.front() == 'A');
  CHECK(row.back() == '_');
  // Bin 64 is the mean of 128 and 129; from the 1st to the 99th percentile of 128 bins, 1 off each end: 2.5 to 252.5.
  CHECK(wide["low"] == 2.5);
  CHECK(wide["high"] == 252.5);
  CHECK(row[64] == espalier::kLevels[32]);  // (128.5 - 2.5) / 250 × 63 = 31.75
  CHECK(wide["kept"][0] == std::string(64, 'A') + std::string(64, '_'));
  const json& narrow = data["scores"][1];
  CHECK(narrow["bin"] == 1.0);
  CHECK(narrow["layers"][0] == "_.A");
}

TEST_CASE("data too large for a page is thinned until it fits") {
  json scores = json::array(), row = json::array(), kept = json::array();
  for (int i = 0; i < 256; ++i) row.push_back(i * 0.125), kept.push_back(i % 2);
  for (int map = 0; map < 12; ++map)
    scores.push_back({{"axis", "ffn"}, {"layers", json(40, row)}, {"kept", json(40, kept)}});
  json curve = {{"arm", "a"}, {"runs", json::array()}};
  json tokens = json::array(), loss = json::array();
  for (int i = 0; i < 200; ++i) tokens.push_back(i), loss.push_back(1.0 / 3 + i);
  for (int run = 0; run < 30; ++run) curve["runs"].push_back({{"seed", run}, {"tokens", tokens}, {"loss", loss}});
  const json comparison = {{"schema", 1}, {"scores", scores}, {"curves", {curve}}};
  CHECK(espalier::script_json(page_data(comparison, 400'000)).size() <= 400'000);
  const json small = page_data(comparison, 60'000);
  CHECK(espalier::script_json(small).size() <= 60'000);
  const json& run = small["curves"][0]["runs"][0];
  CHECK(run["tokens"].size() == run["loss"].size());
  CHECK(run["tokens"].back() == 199);
  CHECK(small["curves"][0]["thinned"].get<int>() > 1);
  CHECK(page_data(comparison, 1'000'000)["curves"][0]["runs"][0]["loss"][0] == 0.333333);
}

TEST_CASE("columns in which no row has anything are left out of a table") {
  espalier::HtmlTable table("Runs", "run");
  table.column("seed");
  table.column("memory");
  table.row({"a", "1", espalier::kNothing});
  CHECK(contains(table.html(), "<th scope=\"col\" class=\"n\">seed</th>"));
  CHECK_FALSE(contains(table.html(), "memory"));
  espalier::HtmlTable empty("Runs", "run");
  empty.column("seed");
  empty.row({"a", espalier::kNothing});
  CHECK(empty.html().empty());
}
