// SPDX-License-Identifier: Apache-2.0
#include "core/train/metrics_log.hpp"

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace espalier {
namespace {

// Whether a line belongs to a step that is kept; a line that is no such object does not.
bool belongs(std::string_view line, std::int64_t last_step) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto step = json.find("step");
  return step != json.end() && step->is_number_integer() && step->get<std::int64_t>() <= last_step;
}

std::string kept_lines(const std::string& text, std::int64_t last_step) {
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // torn
    const std::string_view line(text.data() + begin, end - begin);
    if (belongs(line, last_step)) kept.append(line).push_back('\n');
    begin = end + 1;
  }
  return kept;
}

fs::path prepared_lines(const fs::path& path, std::int64_t last_step) {
  const std::string old = fs::exists(path) ? read_text(path) : "";
  const std::string kept = kept_lines(old, last_step);
  if (kept != old || !fs::exists(path)) write_text(path, kept);
  return path;
}

}  // namespace

MetricsLog::MetricsLog(const fs::path& path, std::int64_t step) : file_(prepared_lines(path, step)) {}

void MetricsLog::add(const nlohmann::ordered_json& line) { file_.append(line.dump() + "\n"); }

}  // namespace espalier
