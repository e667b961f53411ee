// SPDX-License-Identifier: Apache-2.0
// report.html: a comparison as one file that can be sent to a colleague. Nothing is loaded from anywhere; verdicts and
// tables are plain HTML, figures are drawn by the page's own script (core/report/page/) from the data inside it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace espalier {

// `comparison`: comparison.json, schema 1. Numbers that are null or absent are shown as a dash; a section without data
// says so or is left out. Throws Error for another schema.
std::string report_page(const nlohmann::json& comparison);

}  // namespace espalier
