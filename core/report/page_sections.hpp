// SPDX-License-Identifier: Apache-2.0
// The parts of report.html that need no script: what was found, in words and tables.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace espalier {

std::string summary_html(const nlohmann::json& comparison);   // one paragraph
std::string verdicts_html(const nlohmann::json& comparison);  // a list of cards, and all their numbers as a table
std::string arms_html(const nlohmann::json& comparison);      // arms, teachers, sources and tasks
std::string differences_html(const nlohmann::json& comparison);
std::string runs_html(const nlohmann::json& comparison);
std::string failed_html(const nlohmann::json& comparison);
std::string protocol_html(const nlohmann::json& comparison);

}  // namespace espalier
