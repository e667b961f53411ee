// SPDX-License-Identifier: Apache-2.0
#include "core/report/page.hpp"

#include <array>

#include "core/base/error.hpp"
#include "core/report/page_data.hpp"
#include "core/report/page_files.hpp"
#include "core/report/page_html.hpp"
#include "core/report/page_sections.hpp"

namespace espalier {

namespace {

using nlohmann::json;

constexpr std::size_t kDataBytes = 700'000;  // with tables, style and script the page stays below a megabyte

struct Section {
  std::string id, title, body;
};

// What a script draws; `none` stands there when there is nothing to draw.
std::string figure(const std::string& id, bool drawn, const std::string& note, const std::string& none) {
  if (!drawn) return "<p class=\"none\">" + none + "</p>\n";
  return "<p class=\"key\">" + note + "</p>\n<div class=\"figure\" id=\"" + id +
         "\"><noscript><p class=\"none\">This figure is drawn by a script.</p></noscript></div>\n";
}

bool has_curves(const json& comparison) {
  for (const json& curve : list_at(comparison, "curves")) {
    for (const json& run : list_at(curve, "runs")) {
      if (!list_at(run, "tokens").empty()) return true;
    }
  }
  return false;
}

bool has_losses(const json& comparison) {
  for (const json& arm : list_at(comparison, "arms")) {
    if (number_at(arm, {"after", "nll", "mean"}) || number_at(arm, {"after", "bits_per_byte", "mean"})) return true;
  }
  return false;
}

std::vector<Section> sections_of(const json& comparison) {
  std::vector<Section> sections = {
      {"verdicts", "Verdicts", verdicts_html(comparison)},
      {"arms", "Arms", arms_html(comparison)},
      {"curves", "Loss while training",
       figure("figure-curves", has_curves(comparison),
              "The line is the mean over an arm's runs, the band reaches from the lowest to the highest. Arms whose "
              "losses are made of different terms share an axis, not a meaning.",
              "No training curves: no run has a log of its training.")},
      {"quality", "Quality against cost",
       figure("figure-quality", has_losses(comparison),
              "Lower is better. The bar is the interval of the mean, the stepped line joins arms that no cheaper arm "
              "beats.",
              "No losses after distillation.")},
      {"maps", "What was important, and what was kept",
       figure("figure-maps", !list_at(comparison, "scores").empty(),
              "A row is a layer, a column a bin of neighbouring units. Darker: more important; more of them kept.",
              "No scores: no arm was pruned by a metric.")},
      {"lab", "Metric laboratory",
       figure("figure-lab", !list_at(at_path(comparison, {"metric_lab"}), "axes").empty(),
              "Do metrics agree on the order of units, would they keep the same ones, and after how many samples does "
              "the choice stand?",
              "Nothing to compare: no scores of these runs are at hand.")},
      {"recipes", "What the recipes differ in", differences_html(comparison)},
      {"runs", "Runs", runs_html(comparison)},
      {"protocol", "Protocol and environment", protocol_html(comparison)}};
  if (const std::string failed = failed_html(comparison); !failed.empty())
    sections.push_back({"failed", "Failed runs", failed});
  return sections;
}

std::string script() {
  std::string text = "(() => {\n\"use strict\";\n";
  for (const char* file :
       {"base.js", "chart.js", "verdicts.js", "curves.js", "quality.js", "maps.js", "lab.js", "start.js"})
    text += page_file(file);
  return text + "})();\n";
}

// Puts the pieces into the frame in one pass, so that nothing inside a piece is taken for a place.
std::string filled(std::string_view frame, const std::vector<std::pair<std::string, std::string>>& pieces) {
  std::string result;
  while (!frame.empty()) {
    const std::size_t begin = frame.find("{{"), end = frame.find("}}");
    if (begin == std::string_view::npos) break;
    const std::string_view name = frame.substr(begin + 2, end - begin - 2);
    result += frame.substr(0, begin);
    for (const auto& [key, value] : pieces) {
      if (key == name) result += value;
    }
    frame.remove_prefix(end + 2);
  }
  return result.append(frame);
}

}  // namespace

std::string report_page(const json& comparison) {
  const std::string schema = at_path(comparison, {"schema"}).dump();
  if (schema != "1") fail("report.html: a comparison of another schema; got {}; expected 1", schema);
  std::string body, links;
  for (const Section& section : sections_of(comparison)) {
    links += fmt::format("<li><a href=\"#{}\">{}</a></li>", section.id, section.title);
    body +=
        fmt::format("<section id=\"{0}\" aria-labelledby=\"{0}-title\"><h2 id=\"{0}-title\">{1}</h2>\n{2}</section>\n",
                    section.id, section.title, section.body);
  }
  std::string title = text_at(comparison, {"title"});
  if (title.empty()) title = "Comparison";
  return filled(page_file("frame.html"), {{"title", escaped(title)},
                                          {"style", std::string(page_file("style.css"))},
                                          {"summary", summary_html(comparison)},
                                          {"links", links},
                                          {"body", body},
                                          {"data", script_json(page_data(comparison, kDataBytes))},
                                          {"script", script()}});
}

}  // namespace espalier
